import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { PolyVeilError } from '../../errors/index.ts'
import type { ServerConfig } from '../config.ts'
import { inferenceLimits } from '../inference/limits.ts'
import type { ServiceBase } from '../service-parts.ts'
import { Calls } from './exchange/calls.ts'
import { Peers, type WorkerFacts } from './exchange/peers.ts'
import { SharedRedis } from './exchange/redis.ts'
import { Frames } from './queue/frames.ts'
import { InferenceRecords } from './queue/inference-records.ts'
import { JobQueue } from './queue/job-queue.ts'
import { KeyHolders } from './queue/key-holders.ts'
import { handOver } from './queue/overdue.ts'
import { WaitingList } from './queue/waiting-list.ts'

/** What each process of a cluster has. */
export interface Cluster {
  readonly redis: SharedRedis
  readonly calls: Calls
  readonly peers: Peers
  readonly queue: JobQueue
  readonly waiting: WaitingList
  readonly records: InferenceRecords
  readonly frames: Frames
  readonly holders: KeyHolders
  /** Leaves the cluster. */
  close(): Promise<void>
}

/**
 * Joins the cluster that the settings name.
 *
 * @param facts what a worker process tells of itself; it gets the name of this process
 * @throws CONFIG_INVALID when there is no setting `redis`, Redis cannot be reached, or a package is absent
 */
export async function joinCluster(
  { config, logger }: ServiceBase,
  facts?: (name: string) => WorkerFacts,
): Promise<Cluster> {
  const redis = await SharedRedis.open(addressOf(config), config.redisPrefix, logger)
  try {
    const queue = await JobQueue.open(redis, logger)
    const calls = new Calls(redis, newName(), logger)
    const peers = await Peers.join(redis, calls.self, logger, facts && (() => facts(calls.self)))
    const waiting = new WaitingList(redis, config)
    peers.onInheritance((worker) => {
      handOver({ redis, queue, waiting }, worker).catch((err) =>
        logger.error({ err, worker }, 'What waited for a worker that ended is left'),
      )
    })
    peers.onLost((worker) => void queue.forget(worker))
    const { total, answer } = inferenceLimits(config)
    const close = async (): Promise<void> => {
      await peers.close()
      await queue.close()
      await calls.close()
      redis.close()
    }
    return {
      redis,
      calls,
      peers,
      queue,
      waiting,
      records: new InferenceRecords(redis, total + answer),
      frames: new Frames(redis, total),
      holders: new KeyHolders(redis),
      close,
    }
  } catch (error) {
    redis.close()
    throw error
  }
}

function addressOf({ redis }: ServerConfig): string {
  if (redis !== undefined) return redis
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'A worker process needs the setting redis',
    { setting: 'redis' },
    { remedy: 'Set it to the address of the Redis that the HTTP processes of the service use.' },
  )
}

/** A name that no other process has, also after a restart on the same machine. */
const newName = (): string =>
  `${hostname().replaceAll(/[^\w.-]/g, '_')}-${process.pid}-${randomUUID().slice(0, 8)}`
