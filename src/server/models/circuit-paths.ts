import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isModelName } from '../../circuit/manifest/model-name.ts'
import { refusedFile } from '../../errors/index.ts'

/** A circuit file (`*.pvc`) of a models directory. */
export interface CircuitPath {
  /** Within the directory, with slashes. */
  readonly file: string
  readonly path: string
  /** The model that its folder is named after; absent for files that lie in no folder. */
  readonly folder?: string
  /** The name of the file without its ending: the version in a folder, else the model. */
  readonly stem: string
  /** From 1 on; absent when a file in a folder has another name. */
  readonly version?: number
}

const ENDING = '.pvc'
const VERSION = /^[1-9][0-9]{0,8}$/

/**
 * The circuit files of a models directory, `NAME.pvc` and `NAME/VERSION.pvc`, in the order of their paths.
 * Hidden files are left out: programs that copy use them for what is not complete.
 *
 * @throws CONFIG_INVALID when the directory cannot be read
 */
export async function circuitPaths(directory: string): Promise<CircuitPath[]> {
  const names = await readdir(directory).catch((cause) => {
    throw refusedFile({ name: `The models directory ${directory}` }, cause)
  })
  const folders = names.filter((name) => isModelName(name) && !name.startsWith('.') && !name.endsWith(ENDING))
  const inFolders = await Promise.all(
    folders.sort().map(async (folder) => {
      // Other files and folders that this user may not read are no folders of models.
      const inside = await readdir(join(directory, folder)).catch(() => [])
      return circuitsAmong(inside).map((name) => pathOf(directory, name, folder))
    }),
  )
  return [...circuitsAmong(names).map((name) => pathOf(directory, name)), ...inFolders.flat()]
}

const circuitsAmong = (names: readonly string[]): string[] =>
  names.filter((name) => name.endsWith(ENDING) && !name.startsWith('.')).sort()

function pathOf(directory: string, name: string, folder?: string): CircuitPath {
  const stem = name.slice(0, -ENDING.length)
  if (folder === undefined) return { file: name, path: join(directory, name), stem, version: 1 }
  const version = VERSION.test(stem) ? Number(stem) : undefined
  return { file: `${folder}/${name}`, path: join(directory, folder, name), folder, stem, version }
}
