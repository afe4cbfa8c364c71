import type { ExecutionControl } from '../../he-ops/engine.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'

/** How a caller ends what it waits for. */
export type StopSignal = Required<Pick<ExecutionControl, 'shouldStop' | 'stopped'>>

/** Waits for an event, or until the caller stops. @throws ExecutionStopped */
export async function waitFor(event: Promise<unknown>, { shouldStop, stopped }: StopSignal): Promise<void> {
  await Promise.race([event, stopped])
  if (shouldStop()) throw new ExecutionStopped(0)
}
