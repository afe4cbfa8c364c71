import { spawnSync } from 'node:child_process'
import { chownSync, cpSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, delimiter, dirname, join, relative, resolve } from 'node:path'
import { ROOT } from '../../scripts/building/paths.ts'
import { type Instruction, isSent, pairsIn, type Stage, stagesOf } from './dockerfile.ts'

/** What a container starts with. */
export interface Image {
  /** The folder that has its files. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly user: string
  readonly entrypoint: readonly string[]
  readonly healthcheck: readonly string[]
}

type Draft = { -readonly [Field in keyof Image]: Image[Field] }

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

export const STAGES = stagesOf(read('Dockerfile'))

/**
 * Carries out the instructions of the Dockerfile in folders, without a container engine and without base
 * images. Commands of RUN see the file system of the machine, and begin in the folder of their WORKDIR.
 *
 * @param folder where each stage gets a folder
 * @param ready folders of stages that are not carried out
 * @returns the image of the last stage
 */
export function carryOut(folder: string, ready: Readonly<Record<string, string>> = {}): Image {
  const roots: Record<string, string> = { ...ready }
  let image: Image | undefined
  for (const stage of STAGES) {
    const name = stage.name ?? 'final'
    if (name in ready) continue
    roots[name] = join(folder, name)
    mkdirSync(roots[name], { recursive: true })
    image = carryOutStage(stage, roots[name], roots)
  }
  return image!
}

/** What the image says about its containers, without its files. */
export function settingsOfImage(): Image {
  const { instructions } = STAGES.at(-1)!
  const settings = instructions.filter(({ keyword }) => ['ENV', 'LABEL', 'VOLUME', 'USER'].includes(keyword))
  return carryOutStage({ instructions: settings }, '', {})
}

function carryOutStage(stage: Stage, root: string, roots: Readonly<Record<string, string>>): Image {
  const image: Draft = {
    root,
    workdir: '/',
    env: {},
    labels: {},
    volumes: [],
    user: '0:0',
    entrypoint: [],
    healthcheck: [],
  }
  for (const instruction of stage.instructions) apply(instruction, image, roots)
  return image
}

function apply(instruction: Instruction, image: Draft, roots: Readonly<Record<string, string>>): void {
  const { keyword, text } = instruction
  switch (keyword) {
    case 'WORKDIR':
      image.workdir = text
      mkdirSync(join(image.root, text), { recursive: true })
      return
    case 'ENV':
      image.env = { ...image.env, ...pairsIn(text) }
      return
    case 'LABEL':
      image.labels = { ...image.labels, ...pairsIn(text) }
      return
    case 'VOLUME':
      image.volumes = [...image.volumes, text]
      return
    case 'USER':
      image.user = text
      return
    case 'ENTRYPOINT':
      image.entrypoint = JSON.parse(text)
      return
    case 'HEALTHCHECK':
      image.healthcheck = JSON.parse(text)
      return
    case 'EXPOSE':
      return
    case 'COPY':
      copy(instruction, image, roots)
      return
    case 'RUN':
      run(text, image)
      return
    default:
      throw new Error(`No test carries out ${keyword}`)
  }
}

function copy({ flags, text }: Instruction, image: Draft, roots: Readonly<Record<string, string>>): void {
  const sources = text.split(' ')
  const target = sources.pop()!
  const { from, chown } = flags
  const context = from === undefined ? ROOT : roots[from]
  const ignored = read('.dockerignore')
  for (const source of sources) {
    const path = join(context, source)
    const isInto = target.endsWith('/')
    const place = join(image.root, resolve(image.workdir, target), isInto ? basename(source) : '')
    mkdirSync(dirname(place), { recursive: true })
    if (from === undefined) {
      const filter = (file: string): boolean => isSent(relative(context, file), ignored)
      if (!filter(path)) throw new Error(`.dockerignore hides ${source}`)
      cpSync(path, place, { recursive: true, filter })
    } else spawnSync('cp', ['-a', path, place])
    if (chown !== undefined) own(place, chown)
  }
}

/** The owner of an empty directory; only root can give files away. */
function own(path: string, owner: string): void {
  const [user, group] = owner.split(':').map(Number)
  if (process.getuid?.() === 0) chownSync(path, user, group)
}

function run(command: string, { root, workdir, env }: Image): void {
  // tap adds NODE_OPTIONS, with which its loader would run npm and the compiler.
  const { status, stdout, stderr } = spawnSync('env', ['-u', 'NODE_OPTIONS', 'sh', '-c', command], {
    cwd: join(root, workdir),
    env: { ...outside(), ...env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`RUN ${command} ended with ${status}:\n${stdout}${stderr}`)
}

/** The environment without what npm and tap give to this test. */
const outside = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(npm_(?!config_(registry|cafile|userconfig|cache)$)|POLYVEIL_|TAP|NODE_)/.test(name),
    ),
  )
