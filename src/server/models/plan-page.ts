import { access, open } from 'node:fs/promises'
import { isSystemError, PolyVeilError } from '../../errors/index.ts'
import type { ServedModel } from './catalogue.ts'

/** Plans of the deepest networks have less than a tenth of it. */
const MOST_BYTES = 16 * 1024 * 1024

/** The page lies beside the circuit's file. */
const placeOf = (circuit: string): string => circuit.replace(/\.pvc$/, '.html')

/** Whether the plan of a model is published. */
export const hasPlanPage = ({ path }: Pick<ServedModel, 'path'>): Promise<boolean> =>
  access(placeOf(path)).then(
    () => true,
    () => false,
  )

/**
 * The plan of a model as a page, which its operator has put beside the circuit: `NAME.html` beside
 * `NAME.pvc`, as `polyveil inspect --html` writes it. A plan has figures that depend on the weights, so the
 * service publishes none by itself.
 *
 * @throws MODEL_UNKNOWN when there is none
 */
export async function planPageOf({ name, path }: Pick<ServedModel, 'name' | 'path'>): Promise<Buffer> {
  const file = await open(placeOf(path)).catch((error) => {
    if (isSystemError(error) && error.code !== 'ENOENT') throw error
    throw new PolyVeilError('MODEL_UNKNOWN', `The plan of model ${name} is not published`, { model: name })
  })
  try {
    const { size } = await file.stat()
    if (size > MOST_BYTES) throw new PolyVeilError('TOO_LARGE', `The plan of model ${name} has ${size} bytes`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}
