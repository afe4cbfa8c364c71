import { printable } from '../../errors/index.ts'

/** A change of a model's manifest since the client pinned it. */
export interface ManifestChange {
  /** The server's address. */
  readonly url: string
  readonly model: string
  /** Digest of the manifest that was remembered, in hex. */
  readonly before: string
  /** Digest of the manifest that the server gives now, in hex. */
  readonly now: string
}

/** Message that a manifest has changed. */
export const changeText = ({ url, model, before, now }: ManifestChange): string =>
  printable(
    `The manifest of model ${model} at ${url} has changed since it was last used here: it was ${before.slice(0, 16)}, ` +
      `and is ${now.slice(0, 16)} now.`,
  )
