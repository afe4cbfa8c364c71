import t from 'tap'
import { incomingErrors } from '../../../src/compiler/analysis/incoming.ts'
import { sourceNoises } from '../../../src/compiler/analysis/noise.ts'
import { propagateErrors } from '../../../src/compiler/analysis/propagation.ts'
import { rehearse } from '../../../src/compiler/analysis/rehearsal.ts'
import { rootMeanSquare } from '../../../src/compiler/graph/statistics.ts'
import { loweredTensors } from '../lowering/lowered-tensors.ts'

// Compares the precision that plans state for every tensor with the errors of the clear backend. Measured
// precision is off by less than a bit. Estimates without images may be several bits too low.

for (const name of [
  'micro_t',
  'micro_s',
  'micro_lr',
  'micro_monet',
  'micro_dttn',
  'micro_dttn_product',
  'micro_attn',
]) {
  t.test(`${name}: bits of every tensor`, async (t) => {
    const { graph, builder, parameters, result, packed, exact, computed } = await loweredTensors(name, {
      noise: 'model',
      isCalibrated: true,
    })
    const incoming = incomingErrors(graph, builder, sourceNoises({ ...builder, result }, parameters))
    const stated = {
      rehearsed: rehearse(graph, incoming, [packed]),
      estimated: propagateErrors(graph, incoming),
    }
    for (const [id, tensor] of computed) {
      const values = exact.get(id)!
      const { name } = graph.nodes[id]
      const bits = Math.log2(rootMeanSquare(values) / rootMeanSquare(tensor.map((x, i) => x - values[i])))
      const [rehearsed, estimated] = [stated.rehearsed[id], stated.estimated[id]]
      t.ok(Math.abs(rehearsed - bits) < 1, `${name}: ${bits} bits, and ${rehearsed} rehearsed`)
      t.ok(estimated < bits + 1, `${name}: ${bits} bits, and ${estimated} estimated`)
    }
    t.ok(computed.size > 0.8 * graph.nodes.length, `${computed.size} of ${graph.nodes.length} nodes`)
  })
}
