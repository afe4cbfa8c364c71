import { readdir, stat } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { inFile, PolyVeilError } from '../../errors/index.ts'
import { type CsvRecord, parseCsv } from './csv.ts'
import { readInput } from './files.ts'

/** An image file with its true class. */
export interface LabelledImage {
  /** As the user wrote it, or relative to the folder. */
  readonly file: string
  readonly path: string
  /** Index of the class. */
  readonly truth: number
}

export interface LabelledImages {
  /** At least one. */
  readonly images: readonly LabelledImage[]
  /** Files that lie beside the folders of classes, and so have no class. */
  readonly withoutClass: number
}

type ClassFinder = (name: string) => number

const FOLDER_REMEDY =
  'Give a folder with one subfolder for each class, or a folder of images and a CSV file of their classes: --labels FILE.'
const LIST_REMEDY =
  'Give a CSV file with the columns file and label; files are relative to the folder of images.'

/** A list of the images of ImageNet has some 100 MB. */
const MAX_LIST_BYTES = 2 ** 28

/**
 * Finds the images of a folder that has one subfolder for each class, as torchvision's `ImageFolder`. All
 * files below a subfolder are images, except hidden ones.
 *
 * @param classOf finds a class by its name
 * @returns images in the order of the names of their folders, then of their own
 * @throws CONFIG_INVALID when the folder cannot be read, a subfolder is no class, or there is no image
 */
export async function imagesByFolder(folder: string, classOf: ClassFinder): Promise<LabelledImages> {
  const images: LabelledImage[] = []
  let withoutClass = 0
  for (const name of await visibleNames(folder)) {
    const below = join(folder, name)
    if ((await stat(below)).isDirectory()) {
      const truth = await inFile({ name: `The folder ${below}` }, () => classOf(name))
      for (const path of await filesBelow(below)) images.push({ file: relative(folder, path), path, truth })
    } else withoutClass++
  }
  requireImages(images, `The folder ${folder} has no subfolder with an image`, FOLDER_REMEDY)
  return { images, withoutClass }
}

/**
 * Reads a CSV file that names a file and its class in each line. A first line with the names `file` and
 * `label` may choose the order of these columns and have more of them. Empty lines at the end do not count.
 *
 * @param folder that files are relative to
 * @param classOf finds a class by its name
 * @returns images in the order of the lines
 * @throws CONFIG_INVALID when the list cannot be read, a line has another number of fields, a class is
 *   unknown, a file is named twice, or there is no image
 */
export async function imagesByList(
  folder: string,
  list: string,
  classOf: ClassFinder,
): Promise<LabelledImages> {
  const name = `The labels ${list}`
  const { records, file, label, width } = tableOf(await inFile({ name }, () => readRecords(list)))
  const images: LabelledImage[] = []
  const lines = new Map<string, number>()
  for (const { line, fields } of records) {
    const where = `${name}, line ${line}`
    if (fields.length !== width) throw otherWidth(where, fields.length, width)
    const path = resolve(folder, fields[file])
    const before = lines.get(path)
    if (before !== undefined) throw namedTwice(where, fields[file], before)
    lines.set(path, line)
    const truth = await inFile({ name: `${where}, ${fields[file]}` }, () => classOf(fields[label]))
    images.push({ file: fields[file], path, truth })
  }
  requireImages(images, `${name} has no image`, LIST_REMEDY)
  return { images, withoutClass: 0 }
}

/** Names in a folder without hidden ones, sorted. */
async function visibleNames(folder: string): Promise<string[]> {
  const subject = { name: `The folder ${folder}`, remedy: FOLDER_REMEDY }
  const names = await inFile(subject, () => readdir(folder))
  return names.filter((name) => !name.startsWith('.')).sort()
}

/** All files below a folder, sorted. Links to folders are not followed. */
async function filesBelow(folder: string): Promise<string[]> {
  const subject = { name: `The folder ${folder}`, remedy: FOLDER_REMEDY }
  const entries = await inFile(subject, () => readdir(folder, { recursive: true, withFileTypes: true }))
  const isHidden = (path: string): boolean =>
    relative(folder, path)
      .split(sep)
      .some((part) => part.startsWith('.'))
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => !isHidden(path))
    .sort()
}

async function readRecords(list: string): Promise<CsvRecord[]> {
  const bytes = await readInput(list, 'The labels', { limit: MAX_LIST_BYTES })
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'The text is no UTF-8',
      {},
      { cause, remedy: 'Save it as CSV in UTF-8.' },
    )
  }
  const records = parseCsv(text)
  return records.slice(0, 1 + records.findLastIndex((record) => !isBlank(record)))
}

const isBlank = ({ fields }: CsvRecord): boolean => fields.length === 1 && fields[0].trim() === ''

interface Columns {
  readonly records: readonly CsvRecord[]
  readonly file: number
  readonly label: number
  /** Number of columns. */
  readonly width: number
}

/** The records without a line of names, and where the columns are. */
function tableOf(records: readonly CsvRecord[]): Columns {
  const names = (records[0]?.fields ?? []).map((name) => name.trim().toLowerCase())
  const file = names.indexOf('file')
  const label = names.indexOf('label')
  if (file < 0 || label < 0) return { records, file: 0, label: 1, width: 2 }
  return { records: records.slice(1), file, label, width: names.length }
}

const otherWidth = (where: string, fields: number, width: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${where}: it has ${fields} ${fields === 1 ? 'field' : 'fields'}, not ${width}`,
    { fields, expected: width },
    { remedy: LIST_REMEDY },
  )

const namedTwice = (where: string, file: string, before: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `${where}: ${file} is named in line ${before} already`,
    { file, line: before },
    { remedy: 'Name each image once.' },
  )

function requireImages(images: readonly LabelledImage[], message: string, remedy: string): void {
  if (images.length === 0) throw new PolyVeilError('CONFIG_INVALID', message, {}, { remedy })
}
