/** The address without its user and password, for messages and logs. */
export function shownAddress(url: string): string {
  if (!URL.canParse(url)) return 'an address that cannot be read'
  const shown = new URL(url)
  shown.username = ''
  shown.password = ''
  return shown.href
}
