import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Link } from '../../../src/compiler/index.ts'

/** Bytes that may be in flight beyond those on the link, about the size of socket buffers. */
const BUFFER_BYTES = 2 ** 20

/** A connection to a service that is as slow as a link between two machines. */
export interface Relay {
  readonly url: string
  close(): void
}

/**
 * Relays connections to a service on this machine. It delays every byte by half of the round trip, and limits
 * the rate to that of the link. Each direction has its own rate, shared by all connections. The relay itself
 * takes a little of the machine's time.
 */
export async function relayTo(service: string, link: Link): Promise<Relay> {
  const { hostname, port } = new URL(service)
  const [up, down] = [new Way(link), new Way(link)]
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    up.carry(client, upstream)
    down.carry(upstream, client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port: own } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${own}`, close: () => server.close() }
}

/** One direction of a link. */
class Way {
  readonly #delayMs: number
  readonly #bytesPerMs: number
  readonly #mostBytes: number
  /** The time at which the last byte will have been sent. */
  #freeAt = 0
  readonly #underWay: { readonly at: number; readonly arrived: () => void }[] = []

  constructor({ roundTripMs, megabitsPerSecond }: Link) {
    this.#delayMs = roundTripMs / 2
    this.#bytesPerMs = (megabitsPerSecond * 1e6) / 8 / 1000
    this.#mostBytes = BUFFER_BYTES + this.#bytesPerMs * roundTripMs
  }

  carry(from: Socket, to: Socket): void {
    from.setNoDelay()
    let underWay = 0
    from.on('data', (chunk) => {
      underWay += chunk.length
      if (underWay > this.#mostBytes) from.pause()
      this.#later(chunk.length, () => {
        underWay -= chunk.length
        if (underWay <= this.#mostBytes) from.resume()
        if (to.writable) to.write(chunk)
      })
    })
    from.on('end', () => this.#later(0, () => to.end()))
    from.on('error', () => to.destroy())
    from.on('close', () => this.#later(0, () => to.destroy()))
  }

  /**
   * Calls `arrived` when the bytes have arrived. The bytes are sent after all bytes of earlier calls.
   * Callbacks are in the order of the calls, even if timers fire out of order.
   *
   * @param bytes number of bytes that are sent
   */
  #later(bytes: number, arrived: () => void): void {
    this.#freeAt = Math.max(performance.now(), this.#freeAt) + bytes / this.#bytesPerMs
    this.#underWay.push({ at: this.#freeAt + this.#delayMs, arrived })
    if (this.#underWay.length === 1) this.#wait()
  }

  #wait(): void {
    setTimeout(
      () => {
        while (this.#underWay.length > 0 && this.#underWay[0].at <= performance.now()) {
          this.#underWay.shift()!.arrived()
        }
        if (this.#underWay.length > 0) this.#wait()
      },
      Math.max(0, this.#underWay[0].at - performance.now()),
    )
  }
}
