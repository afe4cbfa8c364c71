import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import type { PlanReport } from '../../../compiler/index.ts'
import { counted, countText } from '../../../text/counted.ts'
import { bytesText, secondsText } from '../../../text/units.ts'
import { sumOf } from './columns.ts'
import { type Markup, markup, type Part } from './markup.ts'
import { bitsText, sizesText } from './texts.ts'
import { type Way, wayOf } from './way.ts'

/** The parameters, and what they are good for, in words. */
export const parametersInWords = (plan: PlanReport): Markup => {
  const { ring, primeBits, specialPrimes, logQP, batch, digits } = plan
  const data = primeBits.slice(0, primeBits.length - specialPrimes)
  const special = primeBits.slice(data.length)
  const shared = batch === 1 ? '' : `, shared by ${batch} images of one client`
  return markup`<p>Each ciphertext is a pair of polynomials of degree ${ring} and holds ${ring / 2} numbers in its slots${shared}.
Its modulus is a product of ${counted(data.length, 'data prime')} ${sizesText(data)}, which rescaling uses up one by one, and key switching adds
${counted(special.length, 'special prime')} ${sizesText(special)} and cuts a polynomial into ${counted(digits, 'digit')}.</p>
<p>Security: 128 bits against classical computers. All primes together have log2(QP) = ${logQP.toFixed(2)} bits, and at most
${MAX_LOG_QP[ring]} are allowed in this ring, for ternary secrets and errors of deviation 3.2 (“Security Guidelines for Implementing
Homomorphic Encryption”, ePrint 2024/463, table 5.2).</p>`
}

interface Fact {
  readonly name: string
  readonly value: string
  readonly note?: Part
}

/** What an inference takes, all in all. */
export const totals = (plan: PlanReport): Markup =>
  markup`<dl class="facts">${[...work(plan), ...traffic(plan)].map(
    ({ name, value, note }) =>
      markup`<div><dt>${name}</dt><dd><b>${value}</b>${note ? markup`<span>${note}</span>` : undefined}</dd></div>\n`,
  )}</dl>`

function work(plan: PlanReport): Fact[] {
  const { batch, seconds, secondsPerImage } = plan
  return [
    {
      name: 'Server time',
      value: secondsText(seconds),
      note: `estimated, on one core${batch === 1 ? '' : `; ${secondsText(secondsPerImage)} for each of ${batch} images`}`,
    },
    {
      name: 'Precision',
      value: bitsText(plan.precisionBits),
      note: plan.isMeasured
        ? 'of the logits, measured on calibration images'
        : 'of the logits, estimated from the weights alone: no bound',
    },
    wayBack(plan),
    {
      name: 'Depth',
      value: `${plan.depthBits} bits`,
      note: DEPTH_NOTES[wayOf(plan)],
    },
    {
      name: 'Rotations',
      value: countText(plan.rotations),
      note: `with ${counted(plan.galoisKeys, 'Galois key')}`,
    },
    { name: 'Products', value: countText(plan.ops.multiply), note: 'of two ciphertexts' },
    {
      name: 'Server memory',
      value: bytesText(plan.memoryBytes),
      note: `of the engine; ${bytesText(plan.processBytes)} for the service’s process`,
    },
  ]
}

const DEPTH_NOTES: Readonly<Record<Way, string>> = {
  nobody: 'of modulus that rescaling uses up',
  client: 'of modulus from one refresh to the next',
  server: 'of modulus that rescaling uses up, with those of a restoration',
}

/** How levels are brought back. */
function wayBack({ rounds, restoration }: PlanReport): Fact {
  if (restoration) {
    const { ciphertexts, places } = restoration
    return {
      name: 'Restorations',
      value: countText(ciphertexts),
      note: `of ciphertexts at the server, in ${counted(places, 'place')}; nothing passes between query and answer`,
    }
  }
  const name = 'Refresh rounds'
  if (rounds.length === 0) return { name, value: 'one shot', note: 'nothing passes between query and answer' }
  const refreshed = sumOf(rounds, (count) => count)
  return { name, value: countText(rounds.length), note: `of ${counted(refreshed, 'ciphertext')} together` }
}

function traffic({ rounds, bytes }: PlanReport): Fact[] {
  const refresh: Fact[] = [
    { name: 'Refreshes up', value: bytesText(bytes.refreshUp), note: 'for each inference' },
    { name: 'Refreshes down', value: bytesText(bytes.refreshDown), note: 'for each inference' },
  ]
  return [
    { name: 'Keys', value: bytesText(bytes.keys), note: 'uploaded once' },
    { name: 'Query', value: bytesText(bytes.query), note: 'the encrypted image' },
    ...(rounds.length === 0 ? [] : refresh),
    { name: 'Answer', value: bytesText(bytes.response), note: 'the encrypted logits' },
  ]
}
