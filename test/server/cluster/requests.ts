import { setTimeout as sleep } from 'node:timers/promises'
import type { LightMyRequestResponse } from 'fastify'
import type { InferenceJob } from '../../../src/server/inference/engine.ts'
import { query, watch } from '../support.ts'
import type { Front } from './steered.ts'

export const send = (
  front: Front,
  keys: string,
  id?: string,
  headers = {},
): Promise<LightMyRequestResponse> => front.inject(query(keys, { header: { id }, headers }))

export const cancel = (front: Front, id: string, keys: string): Promise<LightMyRequestResponse> =>
  front.inject({ ...watch(id, keys), method: 'DELETE' })

/** Inferences that end when the test says so. */
export function held() {
  const finish = Promise.withResolvers<void>()
  const work = async ({ frame }: InferenceJob): Promise<Uint8Array> => {
    await finish.promise
    return frame.slice(0, 10)
  }
  return { work, finish: finish.resolve }
}

export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await sleep(2)
}
