import type { LayerReport, OtherWay, PlanReport } from '../../compiler/index.ts'
import { printable } from '../../errors/index.ts'
import type { Preprocessing } from '../../preprocessing/types.ts'
import { counted } from '../../text/counted.ts'
import { bytesText, secondsText } from '../../text/units.ts'
import { preprocessingText } from './preprocessing-text.ts'
import { table } from './table.ts'

/** Text of a plan: layers, totals, preprocessing of inputs, and the reasons for its choices. */
export const planText = (plan: PlanReport, preprocessing: Preprocessing | null): string =>
  [
    table([HEADING, ...plan.layers.map(layerRow)]),
    '',
    ...totals(plan),
    `preprocessing: ${preprocessingText(preprocessing)}`,
    '',
    ...plan.why.map((w) => `- ${printable(w)}`),
  ].join('\n')

/** A sentence on the plan that was not taken, and the flag that takes it. */
export const otherWayText = ({ refreshes, ring, ...way }: OtherWay): string =>
  `${refreshes ? 'refreshes' : 'one shot'} (--refresh ${refreshes ? 'client' : 'never'}) would take ` +
  `about ${secondsText(way.seconds)} on one core` +
  (refreshes ? ` and ${secondsText(way.refreshSeconds)} for rounds` : '') +
  `, keys of ${bytesText(way.keyBytes)} once, and ${bytesText(way.trafficBytes)} for each query, in ring ${ring}`

const HEADING = [
  'layer',
  'shape',
  'level',
  'scale',
  'slots',
  'rotations',
  'terms',
  'products',
  'precision',
  'of logits',
  'seconds',
] as const

const layerRow = (layer: LayerReport): string[] => [
  layer.name,
  layer.shape.join('x'),
  String(layer.level),
  `2^${layer.scaleBits.toFixed(1)}`,
  `${Math.round(100 * layer.slotsUsed)} %`,
  String(layer.rotations),
  String(layer.terms),
  String(layer.products),
  `${layer.precisionBits.toFixed(1)} bits`,
  `${layer.logitBits.toFixed(1)} bits`,
  layer.seconds.toFixed(2),
]

const totals = (plan: PlanReport): string[] => [
  `ring ${plan.ring}, primes of ${plan.primeBits.join(' + ')} bits, log2(QP) ${plan.logQP.toFixed(2)}, 128-bit security`,
  `${plan.rotations} rotations with ${plan.galoisKeys} Galois keys, ${plan.depthBits} bits of depth, ${roundsText(plan)}`,
  `estimated ${secondsText(plan.seconds)} on one core${batchText(plan)}, ${bytesText(plan.memoryBytes)} of engine memory ` +
    `(${bytesText(plan.processBytes)} for the service's process), ` +
    `${plan.precisionBits.toFixed(1)} bits of precision`,
  `estimated traffic: keys ${bytesText(plan.bytes.keys)} once, query ${bytesText(plan.bytes.query)}, ` +
    refreshText(plan) +
    `answer ${bytesText(plan.bytes.response)}`,
]

const batchText = ({ batch, secondsPerImage }: PlanReport): string =>
  batch === 1 ? '' : ` for a batch of ${batch} images, ${secondsText(secondsPerImage)} each`

function roundsText({ rounds, refreshDepth, restoration }: PlanReport): string {
  if (restoration) {
    const { ciphertexts, places } = restoration
    return `levels of ${counted(ciphertexts, 'ciphertext')} restored at the server, in ${counted(places, 'place')}`
  }
  if (rounds.length === 0) return 'one shot'
  const ciphertexts = rounds.reduce((sum, count) => sum + count, 0)
  return `${rounds.length} refresh rounds of ${ciphertexts} ciphertexts together, ${refreshDepth} one after another`
}

const refreshText = ({ rounds, bytes }: PlanReport): string =>
  rounds.length === 0
    ? ''
    : `refreshes ${bytesText(bytes.refreshUp)} up and ${bytesText(bytes.refreshDown)} down, `
