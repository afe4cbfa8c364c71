import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { EngineAccess } from '../../inference/engine.ts'
import type { HostedInference, InferenceHost } from '../../inference/host.ts'
import type { SentAnswer } from '../../inference/reply-cache.ts'
import type { LocatedKeySet } from '../../stores/key-set-bytes.ts'
import type { Calls, Payload } from '../exchange/calls.ts'
import type { Peers } from '../exchange/peers.ts'
import { WORKER_CALLS, type WorkerCall, type WorkerCallData } from '../exchange/protocol.ts'
import { OpenRequests } from './open-requests.ts'

export interface WorkerCallServices {
  readonly calls: Calls
  readonly peers: Pick<Peers, 'watch' | 'onLost'>
  readonly host: InferenceHost
  readonly engine: EngineAccess
  /** The inference of a name in the cluster, which this process holds. */
  readonly find: (name: string) => HostedInference | undefined
  /** @param keySet name of a stored key set, complete or to be checked */
  readonly keysOf: (keySet: string) => LocatedKeySet
  /** @throws PARAMETERS_MISMATCH when no model has parameters of this digest */
  readonly parametersOf: (digest: string) => Promise<CkksParameters>
  /** Looks for a job at once. */
  readonly wake: () => void
}

/** Has a worker process act on the calls of HTTP processes. */
export function serveWorkerCalls({
  calls,
  peers,
  host,
  engine,
  find,
  keysOf,
  parametersOf,
  wake,
}: WorkerCallServices): void {
  const held = ({ inference }: { readonly inference: string }): HostedInference => {
    const found = find(inference)
    if (found) return found
    throw new PolyVeilError('INFERENCE_UNKNOWN', 'There is no inference of that id')
  }
  const open = new OpenRequests(peers)
  serve(calls, 'moment', async ({ after, ...which }) => ({ data: await held(which).moment(after) }))
  serve(calls, 'enter', async ({ token, ...which }, _body, from) => {
    open.add(token, from, await held(which).enter())
    return {}
  })
  serve(calls, 'leave', async ({ token }) => {
    open.close(token)
    return {}
  })
  serve(calls, 'freeRequest', async (which) => ({ data: await held(which).takeFreeRequest() }))
  serve(calls, 'output', async ({ number, ...which }) => outputPayload(await held(which).output(number)))
  serve(calls, 'reply', async ({ round, ...which }, body) => {
    await held(which).reply(round, body)
    return {}
  })
  serve(calls, 'receives', async ({ bytes, inference }) => {
    // It may have ended meanwhile.
    find(inference)?.receives(bytes)
    return {}
  })
  serve(calls, 'cancel', async (which) => {
    await held(which).cancel()
    return {}
  })
  serve(calls, 'stop', async ({ reason, ...which }) => {
    await held(which).stop(reason)
    return {}
  })
  serve(calls, 'underWay', async () => ({ data: await host.underWay() }))
  serve(calls, 'stopHandle', async ({ handle, reason }) => ({ data: await host.stop(handle, reason) }))
  serve(calls, 'checkKeys', async ({ parameters, keySet }) => ({
    data: await engine.checkKeys(await parametersOf(parameters), keysOf(keySet)),
  }))
  serve(calls, 'wake', async () => {
    wake()
    return {}
  })
}

function serve<Name extends WorkerCall>(
  calls: Calls,
  name: Name,
  handler: (data: WorkerCallData<Name>, body: Buffer, from: string) => Promise<Payload>,
): void {
  calls.handle(name, async ({ data, body }, from) =>
    handler(WORKER_CALLS[name].parse(data) as WorkerCallData<Name>, body, from),
  )
}

/** An output of an inference, for another process. */
export const outputPayload = ({ jsonBytes, body }: SentAnswer): Payload => ({ data: { jsonBytes }, body })
