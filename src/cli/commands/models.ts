import type { Command } from 'commander'
import { act, command, type Outcome } from '../command.ts'
import { table } from '../output/table.ts'

/** `polyveil models` */
export const modelsCommand = (): Command =>
  command('models', 'known architectures and bundled networks').action(act(models))

async function models(): Promise<Outcome> {
  const { ARCHITECTURES, bundledNetworks, familyOf } = await import('../../models/index.ts')
  const architectures = Object.entries(ARCHITECTURES).map(([name, config]) => ({
    name,
    inputSize: [config.inputSize.height, config.inputSize.width],
    classes: config.classes,
    cells: familyOf(config).blocks(config),
    family: familyOf(config).name,
  }))
  const bundled = bundledNetworks().map(({ name, config, accuracy, images }) => ({
    name,
    inputSize: [config.inputSize.height, config.inputSize.width],
    classes: config.classes,
    labels: config.labels ?? [],
    accuracy,
    images: images.length,
  }))
  return { document: { architectures, bundled }, text: modelsText(architectures, bundled) }
}

interface Described {
  readonly name: string
  readonly inputSize: readonly number[]
  readonly classes: number
}

function modelsText(
  architectures: readonly (Described & { cells: number; family: string })[],
  bundled: readonly (Described & { accuracy: { images: number; top1: number } })[],
): string {
  const known = architectures.map((a) => [...described(a), String(a.cells), a.family])
  const included = bundled.map(({ accuracy, ...b }) => [
    ...described(b),
    `${(100 * accuracy.top1).toFixed(2)} %`,
    String(accuracy.images),
  ])
  return [
    table([['architecture', 'input', 'classes', 'cells', 'family'], ...known]),
    '',
    table([['bundled', 'input', 'classes', 'top-1', 'test images'], ...included]),
  ].join('\n')
}

const described = ({ name, inputSize, classes }: Described): string[] => [
  name,
  inputSize.join('x'),
  String(classes),
]
