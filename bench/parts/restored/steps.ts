import type { Circuit, ValueId } from '../../../src/circuit/types.ts'

/** The steps of a restoration, in their order. */
export type RestorationStep = 'slots to coefficients' | 'raise' | 'coefficients to slots' | 'sines'

/**
 * The step of each operation in a circuit that restores one value and does nothing else. The steps follow
 * each other, and end where the value is raised and where it is conjugated.
 *
 * @throws when the circuit does not raise exactly one value
 */
export function restorationSteps({ ops }: Pick<Circuit, 'ops'>): (id: ValueId) => RestorationStep {
  const raised = ops.findIndex(({ kind }) => kind === 'raise')
  const conjugated = ops.findIndex(({ kind }) => kind === 'conjugate')
  if (raised < 0 || conjugated < raised || ops.findLastIndex(({ kind }) => kind === 'raise') !== raised) {
    throw new Error('The circuit does not restore exactly one value')
  }
  return (id) => {
    if (id < raised) return 'slots to coefficients'
    if (id === raised) return 'raise'
    return id < conjugated ? 'coefficients to slots' : 'sines'
  }
}
