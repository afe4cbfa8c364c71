import { bytesToHex } from '@noble/hashes/utils.js'
import { refreshBytes } from './local/limits.ts'
import type { LocalModel } from './local/local-model.ts'
import { type CallOptions, secondsLeft } from './progress.ts'
import { cancelRequest, type Expected, roundRequest, serverFrame } from './transport/binary-body.ts'
import type { Answer, Transport } from './transport/transport.ts'

/** What has to come after `round` answered rounds. */
export function expectedAfter({ manifest, sizes }: LocalModel, round: number): Expected {
  const { rounds } = manifest
  return { round, rounds, bytes: round < rounds ? sizes.rounds[round].down : sizes.response }
}

/** An id that nobody guesses: 128 bits from the platform's generator. */
export const newInferenceId = (): string => bytesToHex(crypto.getRandomValues(new Uint8Array(16)))

/** An inference whose query has been sent. */
export interface Begun {
  readonly inference: string
  readonly keySet: string
  /** The server's answer to the query. */
  readonly answer: Promise<Answer>
}

/**
 * Runs the refresh rounds of an inference, if it has any. Every answer has the form that the manifest says, whatever came:
 * no request depends on how something decrypts.
 *
 * @returns the frame of the encrypted logits
 * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the server sends what is not to come. It is then told that
 *   the inference is over, as it is when the caller's signal is aborted
 */
export async function runRounds(
  transport: Transport,
  model: LocalModel,
  { inference, keySet, answer }: Begun,
  { signal, onProgress }: CallOptions,
): Promise<Uint8Array> {
  const { rounds } = model.manifest
  try {
    let frame = serverFrame(await answer, expectedAfter(model, 0))
    const report = progressOf(model, onProgress)
    for (let round = 0; round < rounds; round++) {
      report(round, frame.length)
      const refreshed = await model.refresh(round, frame)
      signal?.throwIfAborted()
      const expected = expectedAfter(model, round + 1)
      const request = roundRequest({ inference, round, keySet, frame: refreshed }, expected.bytes)
      const next = await transport.sendRepeatable({ ...request, signal })
      report(round, refreshed.length)
      frame = serverFrame(next, expected)
    }
    if (rounds > 0) report(rounds - 1, frame.length)
    return frame
  } catch (error) {
    // One shot ends by itself; in a round the server would wait.
    if (rounds > 0) await transport.tell(cancelRequest(inference))
    throw error
  }
}

/** Reports what has been received and sent. */
function progressOf(
  { manifest: { rounds }, sizes }: LocalModel,
  onProgress: CallOptions['onProgress'],
): (round: number, bytes: number) => void {
  const { up, down } = refreshBytes(sizes)
  const bytesTotal = up + down + sizes.response
  const startedAt = performance.now()
  let bytesDone = 0
  return (round, bytes) => {
    bytesDone += bytes
    onProgress?.({
      stage: 'refresh',
      round: round + 1,
      rounds,
      bytesDone,
      bytesTotal,
      secondsLeft: secondsLeft(startedAt, bytesDone, bytesTotal),
    })
  }
}
