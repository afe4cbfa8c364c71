import type { EngineKeys, Session } from '../../he-ops/engine.ts'
import type { FreedReason, WorkerMemory } from './messages.ts'

/** A client's loaded keys and the sessions that use them. */
export interface Client {
  /** Sessions by the digests of their circuits. */
  readonly sessions: Map<string, Session>
  /** Running inferences. The client is not evicted while there are any. */
  users: number
  /** The key set has been deleted: the client is evicted after its last inference. */
  isDeleted?: true
  /** Keys that the sessions share. A key set has one set of parameters and therefore one engine. */
  keys?: EngineKeys
}

/** Called when the keys of a set, and its sessions, have been freed. */
export type OnUnloaded = (keySet: string, reason: FreedReason) => void

/** Clients by the name of their key set, the least recently used first. */
export class LoadedClients {
  readonly #clients = new Map<string, Client>()
  readonly #onUnloaded: OnUnloaded

  constructor(onUnloaded: OnUnloaded) {
    this.#onUnloaded = onUnloaded
  }

  /** The session of a key set and a circuit, if it is loaded. */
  session(name: string, digest: string): Session | undefined {
    return this.#clients.get(name)?.sessions.get(digest)
  }

  /** A client, moved to the end of the order of use. */
  touch(name: string): Client {
    const client = this.#clients.get(name) ?? { sessions: new Map(), users: 0 }
    this.#clients.delete(name)
    this.#clients.set(name, client)
    return client
  }

  /** Clients other than this one. */
  others(client: Client): readonly Client[] {
    return [...this.#clients.values()].filter((other) => other !== client)
  }

  /** Evicts the least recently used other client that is not in use. @returns whether there was one */
  evictIdle(client: Client): boolean {
    const idle = [...this.#clients].find(([, other]) => other !== client && other.users === 0)
    if (idle) this.evict(idle[0], 'room')
    return idle !== undefined
  }

  /** Frees the keys of a set, and its sessions. */
  evict(name: string, reason: FreedReason): void {
    const client = this.#clients.get(name)
    this.#clients.delete(name)
    for (const session of client?.sessions.values() ?? []) session.free()
    client?.keys?.free()
    this.#onUnloaded(name, reason)
  }

  /** Notes that a key set has been deleted. */
  markDeleted(name: string): void {
    const client = this.#clients.get(name)
    if (client) client.isDeleted = true
  }

  /** Evicts the client of a deleted key set, if it is not in use. */
  evictDeleted(name: string): void {
    const client = this.#clients.get(name)
    // A client without sessions is being loaded, and counts no users yet.
    if (client?.isDeleted && client.users === 0 && client.sessions.size > 0) this.evict(name, 'deleted')
  }

  /** Frees the sessions of a circuit. @returns false if some client uses it now; the rest is freed later */
  freeCircuit(digest: string): boolean {
    for (const { sessions, users } of this.#clients.values()) {
      const session = sessions.get(digest)
      if (session === undefined) continue
      if (users > 0) return false
      sessions.delete(digest)
      session.free()
    }
    return true
  }

  /** Sessions of all clients. */
  get count(): number {
    return sum([...this.#clients.values()].map(({ sessions }) => sessions.size))
  }

  /** Bytes of all keys and sessions, without constants. */
  get bytes(): number {
    return sum([...this.#clients.values()].map(bytesOf))
  }

  /** Bytes by their use, with what sessions share counted once. */
  get memory(): Pick<WorkerMemory, 'keys' | 'constants' | 'programs'> {
    const clients = [...this.#clients.values()]
    const sessions = clients.flatMap((client) => [...client.sessions])
    const constants = new Map(sessions.map(([digest, { memory }]) => [digest, memory.constants]))
    return {
      keys: sum(clients.map(({ keys }) => keys?.bytes ?? 0)),
      constants: sum([...constants.values()]),
      programs: sum(sessions.map(([, { memory }]) => memory.program)),
    }
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

const bytesOf = ({ sessions, keys }: Client): number =>
  [...sessions.values()].reduce((total, { bytes }) => total + bytes, keys?.bytes ?? 0)
