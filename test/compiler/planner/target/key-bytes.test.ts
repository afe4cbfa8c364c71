import t from 'tap'
import { checkParameters } from '../../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../../src/circuit/parameters/primes.ts'
import { keyBytes } from '../../../../src/compiler/planner/search/draft.ts'
import { estimateOf } from '../../../../src/compiler/planner/target/estimate.ts'
import { keySetBytes } from '../../../../src/wire/index.ts'
import { smallCircuit } from '../../../circuit/circuits.ts'
import { raising } from '../../../support/raising.ts'

const primes = nttPrimes(8192, new Array(7).fill(28)).map(String)
const plain = checkParameters({ ring: 8192, primes: primes.slice(2), specialPrimes: primes.slice(0, 2) })

t.test('plans count the keys of the ephemeral secret', async (t) => {
  const precision = { logitError: 0, isMeasured: false, precisionBits: 10 }
  const memory = { near: 0, far: 0 }
  const near = (a: number, b: number): boolean => Math.abs(a / b - 1) < 0.02
  const sizes = [undefined, 0, 2].map((level) => {
    const parameters = level === undefined ? plain : raising(plain, level)
    const circuit = { ...smallCircuit(), ops: [], parameters }
    const { keys } = estimateOf(circuit, [], precision, memory).bytes
    const wire = keySetBytes(parameters, [])
    t.ok(near(keys, wire), `level ${level}: ${keys} bytes estimated, ${wire} on the wire`)
    const chain = {
      ring: 8192,
      base: plain.primes.slice(0, 1),
      levels: plain.primes.slice(1),
      raiseLevel: level,
    }
    const drafted = keyBytes(chain, plain.specialPrimes, 0)
    t.ok(near(drafted, wire), `level ${level}: ${drafted} bytes drafted`)
    return keys
  })
  t.ok(sizes[1] > 1.5 * sizes[0], 'the keys are a large part of so small a set')
  t.ok(sizes[2] > 1.1 * sizes[1], 'one of them grows with the level')
})
