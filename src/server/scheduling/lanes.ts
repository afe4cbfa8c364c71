import { LaneRoom, type SessionRoom } from './lane-room.ts'

export interface LanesOptions {
  /** Workers that compute at the same time. */
  readonly lanes: number
  /** Inferences that each computes for in turns. Those that wait for their clients do not count. */
  readonly placesPerLane: number
  /** Engine memory of each in bytes. */
  readonly laneBytes: number
}

/** What one worker does and holds. */
export interface LaneState {
  readonly computing: number
  readonly loadedKeySets: number
  readonly heldBytes: number
}

interface Lane {
  readonly room: LaneRoom
  /** Inferences that it computes for. */
  computing: number
  /** Names of key sets that its worker has loaded. */
  readonly loaded: Set<string>
}

/** What each worker has to do and holds in memory. Workers go by numbers from 0 on. */
export class Lanes {
  readonly #lanes: readonly Lane[]
  readonly #placesPerLane: number

  constructor({ lanes, placesPerLane, laneBytes }: LanesOptions) {
    this.#placesPerLane = placesPerLane
    this.#lanes = Array.from({ length: lanes }, () => ({
      room: new LaneRoom(laneBytes),
      computing: 0,
      loaded: new Set<string>(),
    }))
  }

  get places(): number {
    return this.#lanes.length * this.#placesPerLane
  }

  /** Key sets that workers have loaded. */
  get loaded(): number {
    return this.#lanes.reduce((sum, { loaded }) => sum + loaded.size, 0)
  }

  /** Engine memory that inferences under way hold, in bytes by estimate. */
  get held(): number {
    return this.#lanes.reduce((sum, { room }) => sum + room.held, 0)
  }

  /** Inferences that could start, if there were enough memory. */
  get freePlaces(): number {
    const free = ({ computing }: Lane): number => Math.max(0, this.#placesPerLane - computing)
    return this.#lanes.reduce((sum, lane) => sum + free(lane), 0)
  }

  /** Whether a worker could compute for one more inference. */
  get hasPlace(): boolean {
    return this.freePlaces > 0
  }

  get states(): LaneState[] {
    return this.#lanes.map(({ computing, loaded, room }) => ({
      computing,
      loadedKeySets: loaded.size,
      heldBytes: room.held,
    }))
  }

  /**
   * The worker for an inference: one with its keys if that is free, since loading them takes seconds; else
   * the one with least to do.
   */
  choose(session: SessionRoom): number | undefined {
    const [best] = this.#lanes
      .map((lane, number) => ({ lane, number }))
      .filter(({ lane }) => this.#isFree(lane, session) && lane.room.fits(session))
      .sort(
        ({ lane: a }, { lane: b }) =>
          Number(b.loaded.has(session.keySet)) - Number(a.loaded.has(session.keySet)) ||
          a.computing - b.computing ||
          a.room.held - b.room.held,
      )
    return best?.number
  }

  /** Whether an inference could start if a worker had more memory. */
  lacksMemory(session: SessionRoom): boolean {
    const free = this.#lanes.filter((lane) => this.#isFree(lane, session))
    return free.length > 0 && !free.some(({ room }) => room.fits(session))
  }

  start(number: number, session: SessionRoom): void {
    const { room, loaded } = this.#lanes[number]
    room.hold(session)
    loaded.add(session.keySet)
    this.resume(number)
  }

  /** An inference of the worker waits for its client. It keeps its memory. */
  pause(number: number): void {
    this.#lanes[number].computing--
  }

  /**
   * The client has answered. The worker may then have more to do than a new inference would find room for.
   */
  resume(number: number): void {
    this.#lanes[number].computing++
  }

  /** Frees the memory of an inference that has been paused before. */
  release(number: number, session: SessionRoom): void {
    this.#lanes[number].room.release(session)
  }

  /** Notes that a worker has freed the keys of a set. */
  unloaded(number: number, keySet: string): void {
    this.#lanes[number].loaded.delete(keySet)
  }

  /** Notes that a worker has ended, and another has taken its place. */
  replaced(number: number): void {
    this.#lanes[number].loaded.clear()
  }

  #isFree({ computing, room }: Lane, session: SessionRoom): boolean {
    return computing < this.#placesPerLane && !room.isRunning(session)
  }
}
