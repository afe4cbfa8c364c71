import t from 'tap'
import { expiringAt, lastUses, peakLiveBytes, peakLiveValues } from '../../src/circuit/liveness.ts'
import { smallCircuit } from './circuits.ts'

const circuit = smallCircuit()

t.test('each value expires at its last use, and the result never expires', async (t) => {
  const last = lastUses(circuit)
  t.same([...last], [4, 4, 3, 4, 5, 6, 7, 9, 9, 10, 11])
  t.same(expiringAt(circuit.ops[4], 4, last), [3, 1, 0])
  t.same(expiringAt(circuit.ops[6], 6, last), [5], 'a square frees its operand once')
})

t.test('peaks count an operation with its operands', async (t) => {
  // The peak has %0, %1, %3 and the dot product; before that %0, %1, %2 and %3 are live.
  t.equal(peakLiveValues(circuit), 4)
  t.equal(peakLiveBytes(circuit), 4 * 2 * 3 * 8192 * 8)
})

t.test('a value without uses expires where it is made', async (t) => {
  const ops = circuit.ops.slice(0, 3)
  const last = lastUses({ ops, result: 2 })
  t.same(expiringAt(ops[1], 1, last), [1])
})
