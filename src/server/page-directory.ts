import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PolyVeilError } from '../errors/index.ts'

// The build puts it into dist/page; src/server and dist/server lie equally deep.
const PAGE = new URL('../../dist/page/', import.meta.url)

/** The directory of the web page. @throws CONFIG_INVALID when the package has not been built */
export async function pageDirectory(): Promise<string> {
  const directory = fileURLToPath(PAGE)
  await access(join(directory, 'index.html')).catch((cause) => {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'The web page is not built yet',
      { setting: 'page' },
      { cause, remedy: 'Run npm run build, or set page to off.' },
    )
  })
  return directory
}
