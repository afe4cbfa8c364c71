// The choices of a plan by name. The command line reads them at every start, so this file imports no
// compiler.

import { PolyVeilError } from '../errors/index.ts'

export const OBJECTIVES = ['latency', 'traffic', 'keys'] as const
/** The figure that the user wants to be small. */
export type Objective = (typeof OBJECTIVES)[number]

export const REFRESH_CHOICES = ['auto', 'never', 'client', 'server'] as const
/**
 * Who restores levels: the client in refresh rounds, the server, or nobody. With `auto` the client does where
 * one shot does not fit or costs more for the objective.
 */
export type RefreshChoice = (typeof REFRESH_CHOICES)[number]

/** Who restores levels, and whether the client is there to do it. */
export interface RestoringChoice {
  readonly refresh?: RefreshChoice
  /** Whether the client is offline between its query and the answer; false by default. */
  readonly offlineClient?: boolean
}

/** @throws CONFIG_INVALID when a client that is offline is asked for refreshes */
export function requireNoContradiction({ refresh, offlineClient }: RestoringChoice): void {
  if (refresh !== 'client' || !offlineClient) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'A client that is offline between query and answer (--offline-client) cannot refresh values (--refresh client)',
    { refresh, offlineClient },
    {
      remedy:
        'Leave out --refresh client: the plan is then one shot where that fits, or else the server restores levels. ' +
        'Or leave out --offline-client, if clients stay online during an inference.',
    },
  )
}
