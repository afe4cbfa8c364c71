import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { ModelSizes } from '../client/local/limits.ts'
import { bytesText } from '../text/units.ts'
import { byId } from './elements.ts'
import type { PrivateClient } from './service.ts'

/**
 * Bytes of keys that Chromium makes in a second with two threads, and sends to a service of the same machine.
 */
const BYTES_A_SECOND = 24e6

/** Says whether the keys of a model are there, what it costs to make them, and forgets them. */
export class KeyPanel {
  readonly #text = byId('keys-text', HTMLElement)
  readonly #forget = byId('forget', HTMLButtonElement)
  readonly #onTrouble: (error: unknown) => void
  #shown: { client: PrivateClient; manifest: Manifest; sizes: ModelSizes } | undefined

  constructor(onTrouble: (error: unknown) => void) {
    this.#onTrouble = onTrouble
    this.#forget.addEventListener('click', () => void this.#forgetAll().catch(onTrouble))
  }

  /** Shows the state of a model's keys. Asks the server about key sets that it should have. */
  async show(client: PrivateClient, manifest: Manifest, sizes: ModelSizes): Promise<void> {
    this.#shown = { client, manifest, sizes }
    await this.refresh()
  }

  /** Says nothing of keys until a model is chosen. */
  hide(): void {
    this.#shown = undefined
    this.#text.textContent = 'Choose a model first.'
    this.#forget.hidden = true
  }

  /** Shows the state anew. */
  async refresh(): Promise<void> {
    if (this.#shown === undefined) return
    const { client, manifest, sizes } = this.#shown
    const kept = await client.keySets.list()
    // Another model may have been chosen meanwhile.
    if (this.#shown?.manifest !== manifest) return
    const own = kept.find(({ parametersDigest }) => parametersDigest === manifest.parametersDigest)
    const stored = own?.hasSecretKey ? own.keySets.find(({ state }) => state === 'stored') : undefined
    this.#forget.hidden = kept.length === 0
    this.#text.textContent = stored ? readyText(stored.expires) : neededText(sizes)
  }

  async #forgetAll(): Promise<void> {
    this.#forget.disabled = true
    try {
      await this.#shown?.client.keySets.delete()
      await this.#shown?.client.forget()
    } finally {
      this.#forget.disabled = false
      await this.refresh().catch(this.#onTrouble)
    }
  }
}

function readyText(expires: string | undefined): string {
  const until = expires === undefined ? '' : ` until ${new Date(expires).toLocaleString()}`
  return (
    `Your keys are ready. The secret key is in this browser alone; the server has working keys${until}, with which it can ` +
    'compute on what you encrypt and decrypt nothing.'
  )
}

function neededText({ keys }: ModelSizes): string {
  const seconds = Math.max(1, Math.round(keys / BYTES_A_SECOND))
  return (
    `First your browser makes a secret key, which never leaves it, and working keys for the server: ${bytesText(keys)}, ` +
    `about ${seconds} s on a computer with two cores, and the time to send them. This happens once.`
  )
}
