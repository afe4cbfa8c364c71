import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { ModelSizes } from '../client/local/limits.ts'
import { bytesText } from '../text/units.ts'
import { byId } from './elements.ts'
import { forgetKeptKeys, hasKeptKeys } from './kept-keys.ts'
import type { PageConnection } from './service.ts'

/**
 * Bytes of keys that Chromium makes in a second with two threads, and sends to a service of the same machine.
 */
const BYTES_A_SECOND = 24e6

/** A service that does not answer in this time learns nothing of keys that are forgotten. */
const TELL_MILLISECONDS = 10_000

/** The model whose keys are shown. */
interface Shown {
  readonly connection: PageConnection
  readonly manifest: Manifest
  readonly sizes: ModelSizes
}

/** Says whether the keys of a model are there, what it costs to make them, and forgets them. */
export class KeyPanel {
  readonly #text = byId('keys-text', HTMLElement)
  readonly #forget = byId('forget', HTMLButtonElement)
  readonly #onTrouble: (error: unknown) => void
  #connection: PageConnection | undefined
  #shown: Shown | undefined

  constructor(onTrouble: (error: unknown) => void) {
    this.#onTrouble = onTrouble
    this.#forget.addEventListener('click', () => void this.#forgetAll().catch(onTrouble))
  }

  /** Uses a connection from now on. */
  use(connection: PageConnection): void {
    this.#connection = connection
  }

  /** Shows the state of a model's keys. Asks the server about key sets that it should have. */
  async show(manifest: Manifest, sizes: ModelSizes): Promise<void> {
    if (this.#connection === undefined) return
    this.#shown = { connection: this.#connection, manifest, sizes }
    await this.refresh()
  }

  /** Says nothing of keys while a model is loaded. */
  hide(): void {
    this.#shown = undefined
    this.#text.textContent = NO_MODEL
  }

  /** Offers to forget the keys of earlier visits where there is no model. */
  async showWithoutModel(): Promise<void> {
    this.hide()
    await this.refresh()
  }

  /** Shows the state anew. */
  async refresh(): Promise<void> {
    const shown = this.#shown
    if (shown === undefined) return this.#refreshWithoutModel()
    const { connection, manifest, sizes } = shown
    const kept = await connection.client.keySets.list()
    // Another model may have been chosen meanwhile.
    if (this.#shown?.manifest !== manifest) return
    const own = kept.find(({ parametersDigest }) => parametersDigest === manifest.parametersDigest)
    const stored = own?.hasSecretKey ? own.keySets.find(({ state }) => state === 'stored') : undefined
    this.#forget.hidden = kept.length === 0
    const text = stored ? readyText(stored.expires) : neededText(sizes)
    this.#text.textContent = `${text} ${connection.keepsKeys ? (stored ? '' : ONCE) : FOR_THIS_VISIT}`
  }

  async #refreshWithoutModel(): Promise<void> {
    const hasKeys = await hasKeptKeys()
    if (this.#shown !== undefined) return
    this.#forget.hidden = !hasKeys
    this.#text.textContent = hasKeys ? KEPT_TEXT : NO_MODEL
  }

  async #forgetAll(): Promise<void> {
    const hadFocus = document.activeElement === this.#forget
    this.#forget.disabled = true
    let isTold = true
    try {
      isTold = await this.#deleteAll()
    } finally {
      this.#forget.disabled = false
      await this.refresh().catch(this.#onTrouble)
    }
    if (!isTold) this.#text.textContent = UNTOLD_TEXT
    // A button that is hidden loses the focus to the top of the page.
    if (hadFocus) this.#text.focus({ preventScroll: true })
  }

  /** Deletes all keys, whether or not the service can be told. @returns whether it was told */
  async #deleteAll(): Promise<boolean> {
    const client = this.#connection?.client
    if (client === undefined) {
      await forgetKeptKeys()
      return false
    }
    const isTold = await client.keySets.delete({ signal: AbortSignal.timeout(TELL_MILLISECONDS) }).then(
      () => true,
      () => false,
    )
    // A Web Worker that has ended cannot forget; the database can.
    await client.forget().catch(forgetKeptKeys)
    return isTold
  }
}

const NO_MODEL = 'Choose a model first.'
const KEPT_TEXT = `${NO_MODEL} This browser has keys of earlier visits, which you can forget without one.`
const UNTOLD_TEXT =
  'This browser has forgotten your keys. The service could not be told: its working keys are of no use without the secret ' +
  'key, and it deletes them when they expire.'
const ONCE = 'This happens once.'
const FOR_THIS_VISIT =
  'This browser keeps no data for this page, so your keys are for this visit only: they are gone when you close or reload it.'

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
    `about ${seconds} s on a computer with two cores, and the time to send them.`
  )
}
