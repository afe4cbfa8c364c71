/**
 * Asks the browser not to delete the site's data when disk space is short. Only pages can ask; a Worker finds
 * out what the browser does.
 *
 * @returns whether the browser keeps the data; false where it does not say
 */
export async function persists(): Promise<boolean> {
  // Pages without a secure context have no such storage.
  const storage = navigator.storage as StorageManager | undefined
  try {
    if (await storage?.persisted()) return true
    return (await storage?.persist?.()) ?? false
  } catch {
    return false
  }
}
