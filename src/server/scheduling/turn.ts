import type { SessionRoom } from './lane-room.ts'
import type { Lanes } from './lanes.ts'

/** An inference that asks for its turn. */
export interface TurnRequest {
  readonly owner: string
  /** Inferences that the owner may have under way at once; by default `mostPerOwner`. */
  readonly mostOfOwner?: number
  /** Seconds that it will keep a worker busy, by estimate. */
  readonly seconds: number
  readonly session: SessionRoom
  /** Milliseconds since a client that has to act had its last request open; 0 for any other. */
  readonly silence: () => number
  /** Ends the inference, because others wait for its memory. */
  readonly evict: () => void
}

/** The right to compute on a worker. */
export interface Turn {
  /** Number of the worker. */
  readonly lane: number
  /** The inference waits for its client: the worker may compute for another. */
  pause(): void
  resume(): void
  /** To be called once. @returns seconds that the worker was busy with it, or with others in between */
  end(): number
}

/** An inference that has a worker: it computes, or waits for its client. */
export class TurnUnderWay implements Turn {
  readonly lane: number
  readonly request: TurnRequest
  readonly #lanes: Lanes
  readonly #onChange: (ended: boolean) => void
  /** When it began to compute; undefined while it waits for its client. */
  #since: number | undefined = performance.now()
  #computed = 0
  #hasEnded = false

  constructor(lanes: Lanes, lane: number, request: TurnRequest, onChange: (ended: boolean) => void) {
    this.#lanes = lanes
    this.lane = lane
    this.request = request
    this.#onChange = onChange
    lanes.start(lane, request.session)
  }

  get isPaused(): boolean {
    return this.#since === undefined
  }

  /** Seconds that it will still keep its worker busy, by estimate. */
  get secondsLeft(): number {
    return Math.max(0, this.request.seconds - this.#seconds)
  }

  pause(): void {
    if (this.isPaused) return
    this.#computed = this.#seconds
    this.#since = undefined
    this.#lanes.pause(this.lane)
    this.#onChange(false)
  }

  resume(): void {
    // Word of the worker may come after its answer.
    if (this.#since !== undefined || this.#hasEnded) return
    this.#since = performance.now()
    this.#lanes.resume(this.lane)
  }

  end(): number {
    const seconds = this.#seconds
    if (this.#since !== undefined) this.#lanes.pause(this.lane)
    this.#since = undefined
    this.#hasEnded = true
    this.#lanes.release(this.lane, this.request.session)
    this.#onChange(true)
    return seconds
  }

  get #seconds(): number {
    return this.#computed + (this.#since === undefined ? 0 : (performance.now() - this.#since) / 1000)
  }
}
