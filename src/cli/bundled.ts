import { access } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { PolyVeilError } from '../errors/index.ts'

// The build puts them into dist/zoo; src/cli and dist/cli lie equally deep.
const CIRCUITS = new URL('../../dist/zoo/', import.meta.url)

/**
 * The directory of the bundled networks' circuits.
 *
 * @throws MODEL_UNKNOWN when the package has not been built
 */
export async function bundledCircuits(): Promise<string> {
  const directory = fileURLToPath(CIRCUITS)
  await access(directory).catch((cause) => {
    throw new PolyVeilError(
      'MODEL_UNKNOWN',
      'The bundled networks are not compiled yet',
      {},
      { cause, remedy: 'Run npm run build, or name a directory of circuits with --models.' },
    )
  })
  return directory
}
