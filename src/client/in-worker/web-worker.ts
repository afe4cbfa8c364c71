// Types of browsers that the SDK's declarations name. Projects for Node compile without the types of
// browsers.

/** A port between page and Worker. */
export type Port = InstanceType<typeof MessagePort>

/** The part of a Web Worker that a connection uses. */
export interface WebWorker {
  postMessage(message: unknown, transfer: Port[]): void
  addEventListener(
    kind: 'error',
    listener: (event: object) => void,
    options: { readonly signal: AbortSignal },
  ): void
  terminate(): void
}
