import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import type { CheckedKeySet, EngineAccess, EngineLoad, WorkerState } from '../../inference/engine.ts'
import type { LocatedKeySet } from '../../stores/key-set-bytes.ts'
import type { Calls } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { checkedKeysSchema } from '../exchange/protocol.ts'
import type { SharedRedis } from '../exchange/redis.ts'
import { able, isFull, placesOf, requireAble } from '../queue/fleet.ts'
import { type Waiting, type WaitingList, waitSecondsOf } from '../queue/waiting-list.ts'

/** The engines of the worker processes, as an HTTP process sees them. */
export class RemoteEngine implements EngineAccess {
  readonly #redis: SharedRedis
  readonly #calls: Calls
  readonly #peers: Peers
  readonly #waitingList: WaitingList
  readonly #timer: NodeJS.Timeout
  #waiting: readonly Waiting[] = []

  /** @param close ends what this engine is reached by */
  constructor(services: {
    readonly redis: SharedRedis
    readonly calls: Calls
    readonly peers: Peers
    readonly waiting: WaitingList
  }) {
    this.#redis = services.redis
    this.#calls = services.calls
    this.#peers = services.peers
    this.#waitingList = services.waiting
    this.#timer = setInterval(() => void this.#look(), LOOK_MILLISECONDS).unref()
  }

  get ready(): boolean {
    return this.#redis.isConnected && able(this.#peers.workers).length > 0
  }

  get load(): EngineLoad {
    const { workers } = this.#peers
    const sum = (part: 'waiting' | 'computing' | 'paused' | 'loadedKeySets' | 'heldBytes'): number =>
      workers.reduce((total, each) => total + each[part], 0)
    return {
      waiting: this.#waiting.length + sum('waiting'),
      computing: sum('computing'),
      paused: sum('paused'),
      waitSeconds: waitSecondsOf(this.#waiting, placesOf(workers)),
      loadedKeySets: sum('loadedKeySets'),
      heldBytes: sum('heldBytes'),
    }
  }

  get workers(): readonly WorkerState[] {
    return this.#peers.workers.map(({ accepts, computing, loadedKeySets, heldBytes }) => ({
      ready: accepts,
      computing,
      loadedKeySets,
      heldBytes,
    }))
  }

  async checkKeys(parameters: CkksParameters, { name }: LocatedKeySet): Promise<CheckedKeySet> {
    const workers = await requireAble(this.#peers)
    const { name: worker } = workers[Math.floor(Math.random() * workers.length)]
    const data = { parameters: parameters.digest, keySet: name }
    return checkedKeysSchema.parse((await this.#calls.call(worker, 'checkKeys', { data })).data)
  }

  announce(owner: string): () => void {
    const { workers } = this.#peers
    if (isFull(workers)) this.#waitingList.requireRoom({ owner }, this.#waiting, placesOf(workers))
    return () => {}
  }

  /** Worker processes watch the key sets themselves. */
  forgetKeys(): void {}

  async close(): Promise<void> {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    this.#waiting = await this.#waitingList.all().catch(() => [])
  }
}

const LOOK_MILLISECONDS = 500
