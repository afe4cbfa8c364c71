/** Browsers have no process, and bundlers may give them one without versions. */
const isBrowser = globalThis.process?.versions?.node === undefined

/**
 * A body in the form in which `fetch` sends it fastest. Chromium sends a Blob about fifteen times as fast as
 * the same bytes in an array, for which the page stands still a part of the time.
 */
export const sentBody = (body: Uint8Array | string | undefined): BodyInit | undefined =>
  isBrowser && body instanceof Uint8Array ? new Blob([body as BlobPart]) : (body as BodyInit | undefined)
