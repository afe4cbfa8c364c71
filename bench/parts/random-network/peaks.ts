import { type Network, referenceForward } from '../../../src/models/index.ts'
import { deviation } from '../../../test/models/support/golden.ts'

/** The size of a network's values for an image. */
export interface Peaks {
  readonly logits: Float64Array
  /** Absolute value; NaN if the network diverges. */
  readonly largestLogit: number
  /** Largest absolute value of each observed tensor relative to its root mean square, the largest first. */
  readonly largest: readonly { readonly name: string; readonly peak: number; readonly rms: number }[]
  readonly text: string
}

/** Runs an image through the float reference and measures every tensor. */
export function peaksOf(network: Network, image: Float64Array): Peaks {
  const tensors: { name: string; peak: number; rms: number }[] = []
  const logits = referenceForward(network, image, (name, { data }) => {
    tensors.push({ name, ...sizeOf(data) })
  })
  const largest = tensors.toSorted((a, b) => b.peak / b.rms - a.peak / a.rms)
  const largestLogit = logits.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  const normNames = new Set(network.operations.filter(({ kind }) => kind === 'norm').map(({ name }) => name))
  const norms = tensors.filter(({ name }) => normNames.has(name))
  return { logits, largestLogit, largest, text: textOf(norms, largest, logits) }
}

function sizeOf(data: Float64Array): { peak: number; rms: number } {
  let peak = 0
  let squares = 0
  for (const x of data) {
    peak = Math.max(peak, Math.abs(x))
    squares += x * x
  }
  return { peak, rms: Math.sqrt(squares / data.length) }
}

function textOf(norms: Peaks['largest'], [most]: Peaks['largest'], logits: Float64Array): string {
  const [worst] = norms.toSorted((a, b) => b.rms - a.rms)
  const left =
    worst === undefined
      ? ''
      : `; what poly-BN leaves at most ${worst.rms.toFixed(2)} (${worst.name}), peak ` +
        Math.max(...norms.map(({ peak }) => peak)).toFixed(0)
  return (
    `logits of deviation ${deviation(logits).toFixed(2)}; peak over root mean square at most ` +
    `${(most.peak / most.rms).toFixed(0)} (${most.name})${left}`
  )
}
