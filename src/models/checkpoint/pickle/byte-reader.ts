import { unreadable } from '../errors.ts'

/** A cursor over bytes that never reads past their end. */
export class ByteReader {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  i32(): number {
    return this.#view.getInt32(this.#advance(4), true)
  }

  u64(): number {
    const value = this.#view.getBigUint64(this.#advance(8), true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw unreadable('its pickle has an absurd length')
    return Number(value)
  }

  /** Big-endian, as pickle writes floats. */
  f64(): number {
    return this.#view.getFloat64(this.#advance(8), false)
  }

  bytes(length: number): Uint8Array {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  utf8(length: number): string {
    const bytes = this.bytes(length)
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (cause) {
      throw unreadable('its pickle has a malformed string', {}, cause)
    }
  }

  /** Text up to the next line feed, which is consumed. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position)
    if (end < 0) throw unreadable('its pickle ends too early')
    const text = this.utf8(end - this.#position)
    this.#position++
    return text
  }

  #advance(length: number): number {
    const start = this.#position
    if (length > this.#bytes.byteLength - start) throw unreadable('its pickle ends too early')
    this.#position += length
    return start
  }
}
