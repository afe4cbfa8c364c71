import { PolyVeilError } from '../../errors/index.ts'
import { readTextInput } from './files.ts'

/**
 * Reads the names of classes: a JSON array of strings, or one a line.
 *
 * @throws CONFIG_INVALID unless there is one name for each class
 */
export async function readLabels(path: string, classes: number): Promise<string[]> {
  const text = await readTextInput(path, 'The labels')
  const labels = text.trimStart().startsWith('[')
    ? parseArray(text, path)
    : text.split(/\r?\n/).filter(Boolean)
  if (labels.length === classes) return labels
  throw new PolyVeilError('CONFIG_INVALID', `${path} has ${labels.length} labels for ${classes} classes`, {
    labels: labels.length,
    classes,
  })
}

function parseArray(text: string, path: string): string[] {
  try {
    const labels: unknown = JSON.parse(text)
    if (Array.isArray(labels) && labels.every((label) => typeof label === 'string')) return labels
  } catch {
    // The error below covers this case as well.
  }
  throw new PolyVeilError('CONFIG_INVALID', `${path} is no JSON array of strings`)
}
