import { markdownTable } from './markdown.ts'
import { NETWORKS } from './networks.ts'
import { refreshedTable, source } from './refreshed-table.ts'
import { RESULTS, type RefreshedNetwork } from './results.ts'
import { bytesText, secondsText } from './units.ts'

// Tables of all families: that of README.md, and that of the full-size networks in docs/families.md.

const { refreshed, s, b, l, families } = RESULTS
const RUNS = [refreshed, s, b, l, families]
const MEASURED = RUNS.flatMap(({ results }) => results.refreshed.networks)

/** Titles of the networks of docs/families.md. */
const FULL_SIZE: Readonly<Record<string, string>> = {
  t224: 'CPolyNeXt-T, trained',
  'apolynext-t': 'APolyNeXt-T, made',
  'monet-t': 'MONet-T, made',
  'dttn-s': 'DTTN-S, made',
}

/** The table of docs/families.md: one trained network, and made ones of the other families. */
export function fullSizeTable(): string {
  const networks = Object.keys(FULL_SIZE).map(measured)
  return refreshedTable([refreshed, families], networks, (name) => FULL_SIZE[name], [
    ['products', ...networks.map(({ name }) => String(NETWORKS[name].products))],
    [
      'planned seconds of one core',
      ...networks.map(({ estimatedCoreSeconds }) => String(Math.round(estimatedCoreSeconds))),
    ],
  ])
}

interface Family {
  /** A link to the family's documentation. */
  readonly name: string
  readonly networks: string
  /** Products of each of them. */
  readonly products: string
  /** Published top-1 accuracy on ImageNet. */
  readonly accuracy: string
  /** Measured networks, by size. */
  readonly measured: Readonly<Record<string, string>>
  readonly weights: string
}

const NO_WEIGHTS = 'made networks of full size; no trained weights in this form are public'

const FAMILIES: readonly Family[] = [
  {
    name: '[CPolyNeXt](docs/models.md)',
    networks: 'T, S, B, L, low resolution',
    products: '73, 131, 169, 193, 49',
    accuracy: '78.3 (T), 82.7 (S)',
    measured: { T: 't224', S: 's224', B: 'b224', L: 'l224' },
    weights: 'T trained briefly on pictures of clothes; made networks of the other sizes',
  },
  {
    name: '[MONet](docs/families.md#monet)',
    networks: 'T, S',
    products: '68, 72',
    accuracy: '77.7 (T)',
    measured: { T: 'monet-t' },
    weights: NO_WEIGHTS,
  },
  {
    name: '[DTTN](docs/families.md#dttn)',
    networks: 'T, S, L',
    products: '34, 44, 56',
    accuracy: '77.2 (S)',
    measured: { S: 'dttn-s' },
    weights: NO_WEIGHTS,
  },
  {
    name: '[APolyNeXt](docs/families.md#apolynext)',
    networks: 'T',
    products: '145',
    accuracy: '78.0',
    measured: { T: 'apolynext-t' },
    weights: 'a made network of full size ([how attention runs](docs/attention.md))',
  },
]

/** The table of families in README.md. */
export function familiesTable(): string {
  const heading = [
    'family',
    'networks',
    'products',
    'published top-1 on ImageNet',
    'measured at 224 x 224',
    'weights of the measured networks',
  ]
  const rows = FAMILIES.map(({ name, networks, products, accuracy, measured: found, weights }) => [
    name,
    networks,
    products,
    accuracy,
    Object.entries(found)
      .map(([size, network]) => `${size}: ${figures(measured(network))}`)
      .join('; '),
    weights,
  ])
  return `${markdownTable([heading, ...rows])}\n\n${source(...RUNS)}`
}

const figures = ({ seconds, bytes, rounds }: RefreshedNetwork): string =>
  [
    secondsText(seconds.total),
    `${rounds} rounds`,
    `${bytesText(bytes.up + bytes.down)} of traffic`,
    `${bytesText(bytes.keys)} of keys`,
  ].join(', ')

function measured(name: string): RefreshedNetwork {
  const found = MEASURED.find((network) => network.name === name)
  if (found === undefined) throw new Error(`No results of ${name}`)
  return found
}
