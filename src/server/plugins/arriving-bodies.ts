import type { FastifyReply, FastifyRequest } from 'fastify'
import { PolyVeilError } from '../../errors/index.ts'

/** Part of the memory that bodies of one client take at most. */
const CLIENT_SHARE = 0.25

/**
 * Limits the memory for bodies that are arriving. A body is kept in memory from its first byte on, and
 * nothing of it can be checked before it is complete. So its announced length counts from the headers on,
 * until all of it is there or the connection is closed. From then on other limits hold.
 */
export class ArrivingBodies {
  readonly #most: number
  readonly #bytesOf = new Map<string, number>()
  #bytes = 0

  /** @param most bytes of all bodies together */
  constructor(most: number) {
    this.#most = most
  }

  /** Bytes that are announced and have not all arrived. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Counts the body of a request until it has arrived.
   *
   * @param largest bytes that the route takes, for bodies that do not announce their length
   * @throws TOO_BUSY when the memory, or the client's part of it, is taken
   */
  expect({ raw, headers, caller }: FastifyRequest, reply: FastifyReply, largest: number): void {
    const announced = Number(headers['content-length'] ?? largest)
    const bytes = Math.min(announced, largest)
    const owner = caller.network
    this.#require(owner, bytes)
    this.#add(owner, bytes)
    const arrived = (): void => {
      raw.off('end', arrived)
      reply.raw.off('close', arrived)
      this.#add(owner, -bytes)
    }
    raw.once('end', arrived)
    reply.raw.once('close', arrived)
  }

  #require(owner: string, bytes: number): void {
    const ofClient = this.#bytesOf.get(owner) ?? 0
    // One body is always taken, however large it is.
    const isFull = this.#bytes > 0 && this.#bytes + bytes > this.#most
    const isShareFull = ofClient > 0 && ofClient + bytes > CLIENT_SHARE * this.#most
    if (!isFull && !isShareFull) return
    const whose = isFull ? 'Bodies' : 'Bodies of this client'
    throw new PolyVeilError('TOO_BUSY', `${whose} that are arriving take all the memory there is for them`, {
      retryAfter: 1,
    })
  }

  #add(owner: string, bytes: number): void {
    this.#bytes += bytes
    const left = (this.#bytesOf.get(owner) ?? 0) + bytes
    if (left > 0) this.#bytesOf.set(owner, left)
    else this.#bytesOf.delete(owner)
  }
}
