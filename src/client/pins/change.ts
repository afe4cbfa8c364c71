import { printable } from '../../errors/index.ts'

/** A model that has another manifest than the one that the client remembers. */
export interface ManifestChange {
  /** The server's address. */
  readonly url: string
  readonly model: string
  /** Digest of the manifest that was remembered, in hex. */
  readonly before: string
  /** Digest of the manifest that the server gives now, in hex. */
  readonly now: string
}

/** A sentence for people that a manifest has changed. */
export const changeText = ({ url, model, before, now }: ManifestChange): string =>
  printable(
    `The manifest of model ${model} at ${url} has changed since it was last used here: it was ${before.slice(0, 16)}, ` +
      `and is ${now.slice(0, 16)} now.`,
  )
