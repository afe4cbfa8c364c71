import { MAX_LABEL_LENGTH } from '../../circuit/manifest/bounds.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { readTextInput } from './files.ts'

/** The name of a class, and its place in the file: "line 3". */
interface Label {
  readonly name: string
  readonly place: string
}

/**
 * Reads the names of classes: a JSON array of strings, or one a line.
 *
 * @throws CONFIG_INVALID unless there is one name for each class, and none is longer than circuits take
 */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = await readTextInput(path, 'The labels')
  const labels = text.trimStart().startsWith('[') ? itemsOf(text, path) : linesOf(text)
  if (labels.length !== classes) {
    throw new PolyVeilError('CONFIG_INVALID', `${path} has ${labels.length} labels for ${classes} classes`, {
      labels: labels.length,
      classes,
    })
  }
  const long = labels.find(({ name }) => name.length > MAX_LABEL_LENGTH)
  if (long) throw tooLong(path, long)
  return labels.map(({ name }) => name)
}

const linesOf = (text: string): Label[] =>
  text
    .split(/\r?\n/)
    .map((name, index) => ({ name, place: `line ${index + 1}` }))
    .filter(({ name }) => name !== '')

function itemsOf(text: string, path: string): Label[] {
  try {
    const labels: unknown = JSON.parse(text)
    if (Array.isArray(labels) && labels.every((label) => typeof label === 'string')) {
      return labels.map((name, index) => ({ name, place: `item ${index + 1} of the array` }))
    }
  } catch {
    // The error below covers this case as well.
  }
  throw new PolyVeilError('CONFIG_INVALID', `${path} is no JSON array of strings`)
}

const tooLong = (path: string, { name, place }: Label): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The labels ${path}, ${place}: the name has ${name.length} characters, more than ${MAX_LABEL_LENGTH}`,
    { length: name.length, limit: MAX_LABEL_LENGTH },
    { remedy: 'Shorten the name of this class.' },
  )
