// The choices of a plan by name. The command line reads them at every start, so this file imports no
// compiler.

export const OBJECTIVES = ['latency', 'traffic', 'keys'] as const
/** The figure that the user wants to be small. */
export type Objective = (typeof OBJECTIVES)[number]

export const REFRESH_CHOICES = ['auto', 'never', 'always'] as const
/** Whether the client refreshes values. With `auto` it does where that costs less for the objective. */
export type RefreshChoice = (typeof REFRESH_CHOICES)[number]
