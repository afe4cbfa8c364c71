import { PolyVeilError } from '../../errors/index.ts'

/** Labels that an error lists. */
const MOST_LISTED = 12

/**
 * Makes a function that finds the index of the class with a name: the label that is equal, else the only one
 * that is equal but for case, else the class with this index.
 *
 * The function throws CONFIG_INVALID when there is no such class, or several have this name.
 *
 * @param labels one for each class, or none
 */
export function classFinder(labels: readonly string[], classes: number): (name: string) => number {
  const exact = indicesBy(labels, (label) => label)
  const folded = indicesBy(labels, fold)
  return (name) => {
    const [index, ...others] = exact.get(name) ?? folded.get(fold(name)) ?? indexIn(name, classes)
    if (index === undefined) throw unknownClass(name, labels, classes)
    if (others.length > 0) throw ambiguousClass(name, [index, ...others])
    return index
  }
}

const fold = (text: string): string => text.toLowerCase()

function indicesBy(labels: readonly string[], key: (label: string) => string): Map<string, number[]> {
  const indices = new Map<string, number[]>()
  for (const [index, label] of labels.entries()) {
    indices.set(key(label), [...(indices.get(key(label)) ?? []), index])
  }
  return indices
}

const indexIn = (name: string, classes: number): number[] =>
  /^\d+$/.test(name) && Number(name) < classes ? [Number(name)] : []

function unknownClass(name: string, labels: readonly string[], classes: number): PolyVeilError {
  const more = labels.length > MOST_LISTED ? ', ...' : ''
  const list = labels.length > 0 ? ` Its labels are ${labels.slice(0, MOST_LISTED).join(', ')}${more}.` : ''
  return new PolyVeilError(
    'CONFIG_INVALID',
    `The model has no class "${name}"`,
    { class: name, classes },
    { remedy: `Name classes by the model's labels, or by their indices from 0 to ${classes - 1}.${list}` },
  )
}

const ambiguousClass = (name: string, indices: readonly number[]): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The model has several classes "${name}", with the indices ${indices.join(', ')}`,
    { class: name, indices },
    { remedy: 'Name these classes by their indices.' },
  )
