import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import type { Manifest } from '../../circuit/manifest/manifest.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { KeyStore } from '../keys/key-store.ts'
import { changeText, type ManifestChange } from './change.ts'

/**
 * Policy for pinned digests of manifests. `warn` reports a changed manifest and accepts it; `refuse` throws;
 * `off` neither reads nor writes pins.
 */
export type PinPolicy = (typeof PIN_POLICIES)[number]

export const PIN_POLICIES = ['warn', 'refuse', 'off'] as const

export interface PinOptions {
  /** Default: `warn`. */
  readonly pins?: PinPolicy
  /** Called when a changed manifest is accepted; by default it prints a line on the console. */
  readonly onManifestChange?: (change: ManifestChange) => void
}

type PinnedManifest = Pick<Manifest, 'model' | 'digest'>

/** The methods of a key store that pins use. */
export type PinStore = Pick<KeyStore, 'get' | 'put' | 'add'>

const pinSchema = z.strictObject({ digest: z.string().regex(/^[0-9a-f]{64}$/) })

/**
 * Pinned digests of manifests on one server, by model. The first manifest is trusted. A manifest controls
 * what a client encrypts and how, so pins detect a server that gives one client another manifest.
 */
export class Pins {
  readonly #store: PinStore
  readonly #url: string
  readonly #policy: PinPolicy
  readonly #onChange: (change: ManifestChange) => void
  /** Models that have a pin. */
  readonly #known = new Set<string>()

  /** @param server its address; credentials in it are left out */
  constructor(store: PinStore, server: URL, { pins = 'warn', onManifestChange = warnOnConsole }: PinOptions) {
    this.#store = store
    this.#url = addressOf(server)
    this.#policy = pins
    this.#onChange = onManifestChange
  }

  /**
   * Compares a checked manifest with its pin, and replaces the pin when a changed manifest is accepted. A
   * first manifest is not pinned here, so that fetching it does not make a key store.
   *
   * @throws PARAMETERS_MISMATCH when it differs and the policy is `refuse`; the pin stays
   * @throws CONFIG_INVALID when the pin is damaged; what the store throws
   */
  async check({ model, digest }: PinnedManifest): Promise<void> {
    if (this.#policy === 'off') return
    const before = await this.#remembered(model)
    if (before === undefined) return
    if (before !== digest) {
      this.#changed({ url: this.#url, model, before, now: digest })
      await this.#store.put(this.#nameOf(model), pinOf({ digest }))
    }
    this.#known.add(model)
  }

  /**
   * Pins a manifest that `check` has accepted, unless its model has a pin. Called when keys are first used
   * with it.
   *
   * @throws as `check`, when another process has pinned another manifest since
   */
  async remember(manifest: PinnedManifest): Promise<void> {
    if (this.#policy === 'off' || this.#known.has(manifest.model)) return
    await this.#store.add(this.#nameOf(manifest.model), pinOf(manifest))
    await this.check(manifest)
  }

  #changed(change: ManifestChange): void {
    if (this.#policy === 'warn') {
      this.#onChange(change)
      return
    }
    const { url, model, before, now } = change
    throw new PolyVeilError(
      'PARAMETERS_MISMATCH',
      `${changeText(change)} Ask who runs the server whether the model was compiled anew; pins of "warn" take the new manifest`,
      { url, model, before, now },
    )
  }

  async #remembered(model: string): Promise<string | undefined> {
    const entry = await this.#store.get(this.#nameOf(model))
    if (entry === undefined) return undefined
    try {
      return pinSchema.parse(JSON.parse(new TextDecoder().decode(entry))).digest
    } catch (cause) {
      throw new PolyVeilError('CONFIG_INVALID', `The pin of model ${model} is damaged`, { model }, { cause })
    }
  }

  #nameOf(model: string): string {
    return `pin/${bytesToHex(sha256(utf8ToBytes(this.#url)))}/${model}`
  }
}

const pinOf = ({ digest }: Pick<PinnedManifest, 'digest'>): Uint8Array =>
  utf8ToBytes(JSON.stringify({ digest }))

const warnOnConsole = (change: ManifestChange): void => console.warn(changeText(change))

/** A server's address without credentials, for messages. */
function addressOf(server: URL): string {
  const address = new URL(server)
  address.username = ''
  address.password = ''
  return address.href
}
