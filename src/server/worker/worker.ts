import { parentPort, workerData } from 'node:worker_threads'
import { bytesToHex } from '@noble/hashes/utils.js'
import { move, transferableSymbol, valueSymbol } from 'piscina'
import { checkParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { ExecutionControl } from '../../he-ops/engine.ts'
import { type ByteSource, verifyKeySet } from '../../wire/index.ts'
import type { CheckedKeySet } from '../inference/engine.ts'
import { withKeySet } from '../stores/key-set-source.ts'
import { ServedCircuits } from './circuits.ts'
import {
  type CheckTask,
  failure,
  type InferTask,
  type Outcome,
  type WorkerMessage,
  type WorkerNotice,
  type WorkerSettings,
} from './messages.ts'
import { refreshOver } from './refresh.ts'
import { SessionCache } from './session-cache.ts'

// Tasks of the worker. The pool calls them by the names of these functions.

const DIGEST_BYTES = 32
const PROGRESS_MILLISECONDS = 100

const circuits = new ServedCircuits()
const notify = (notice: WorkerNotice): void => parentPort?.postMessage(notice)
const sessions = new SessionCache(workerData as WorkerSettings, {
  onOpened: ({ digest, outline: { model }, operations }, { memory, threads }) =>
    notify({ kind: 'session opened', digest, model, memory, threads, operations }),
  onReused: () => notify({ kind: 'session reused' }),
  onUnloaded: (keySet, reason) => notify({ kind: 'keys freed', keySet, reason }),
  onMemory: (memory) => notify({ kind: 'memory', memory }),
})

export function checkKeys({ parameters, location }: CheckTask): Promise<Outcome<CheckedKeySet>> {
  return outcome(() =>
    withKeySet(location, async (source) => {
      const galoisElements = await verifyKeySet(checkParameters(parameters), source)
      return { galoisElements, digest: await frameDigest(source) }
    }),
  )
}

export async function infer(task: InferTask): Promise<Outcome<Uint8Array>> {
  const client = refreshOver(task)
  const control = controlOf(task)
  const result = await outcome(async () => {
    if (task.served) retain([...task.served, task.circuit.digest])
    const circuit = await circuits.get(task.circuit)
    return sessions.use(circuit, task.keys, control, (session) => {
      task.port.postMessage({ kind: 'ready' } satisfies WorkerMessage)
      return session.infer(task.frame, control, client)
    })
  })
  task.port.close()
  return result.kind === 'value' ? moved(result) : result
}

export function forgetKeys(name: string): Promise<Outcome<undefined>> {
  return outcome(async () => sessions.forgetKeys(name) as undefined)
}

function retain(digests: readonly string[]): void {
  const kept = new Set(digests)
  circuits.retain(kept)
  sessions.retain(kept)
}

/** The digest that a checked frame ends with. */
const frameDigest = async (source: ByteSource): Promise<string> =>
  bytesToHex(await source.read(source.size - DIGEST_BYTES, DIGEST_BYTES))

function controlOf({ port, stop }: InferTask): Required<Omit<ExecutionControl, 'overlap'>> {
  const flag = new Int32Array(stop)
  let last = 0
  return {
    shouldStop: () => Atomics.load(flag, 0) !== 0,
    // The other side closes the port when it cancels.
    stopped: new Promise((resolve) => port.once('close', resolve)),
    onWaiting: (isWaiting) => port.postMessage({ kind: 'waiting', isWaiting } satisfies WorkerMessage),
    onProgress(done, total) {
      const now = performance.now()
      if (done < total && now - last < PROGRESS_MILLISECONDS) return
      last = now
      port.postMessage({ kind: 'progress', done, total } satisfies WorkerMessage)
    },
  }
}

async function outcome<T>(task: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { kind: 'value', value: await task() }
  } catch (error) {
    if (isSuspect(error)) process.exit(1)
    return failure(error)
  }
}

/**
 * Whether the worker's memory is in an unknown state: after a trap, when an allocation of node-seal failed,
 * or when a thread of the engine was lost, which may still write. The thread then ends, and the pool answers
 * WORKER_LOST and starts another.
 */
function isSuspect(error: unknown): boolean {
  if (error instanceof PolyVeilError) return error.code === 'WORKER_LOST'
  if (error instanceof WebAssembly.RuntimeError) return true
  return error instanceof Error && /bad_alloc|allocation failed/.test(error.message)
}

/** Transfers the answer's buffer instead of copying it. */
const moved = (result: { readonly kind: 'value'; readonly value: Uint8Array }): Outcome<Uint8Array> =>
  move({ [transferableSymbol]: result.value.buffer, [valueSymbol]: result }) as unknown as typeof result
