/** Whether slow suites run, too: POLYVEIL_SLOW=1. */
export const isThorough = Boolean(process.env.POLYVEIL_SLOW)

/** All cases in a thorough run, and the given ones otherwise. */
export const casesOf = <T>(all: readonly T[], usual: readonly T[]): readonly T[] => (isThorough ? all : usual)
