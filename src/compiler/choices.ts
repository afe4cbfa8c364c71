// The choices of a plan by name. The command line reads them at every start, so this file imports no
// compiler.

export const OBJECTIVES = ['latency', 'traffic', 'keys'] as const
/** The figure that the user wants to be small. */
export type Objective = (typeof OBJECTIVES)[number]

export const REFRESH_CHOICES = ['auto', 'never', 'client', 'server'] as const
/**
 * Who restores levels: the client in refresh rounds, the server, or nobody. With `auto` the client does where
 * one shot does not fit or costs more for the objective.
 */
export type RefreshChoice = (typeof REFRESH_CHOICES)[number]
