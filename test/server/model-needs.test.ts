import t from 'tap'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { createLogger } from '../../src/server/index.ts'
import { warnOfNeeds } from '../../src/server/model-needs.ts'
import { keySetBytes } from '../../src/wire/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'

const MEGABYTE = 2 ** 20
const circuit = smallCircuit()
const { parameters } = circuit
const manifest = manifestOf(circuit)
const keyMegabytes = Math.ceil(keySetBytes(parameters, manifest.galoisElements) / MEGABYTE)
const model = { name: 'deep', version: 3, manifest, parameters, memoryBytes: 20.5 * MEGABYTE }

function warningsOf(limits: Parameters<typeof warnOfNeeds>[1]): Record<string, unknown>[] {
  const lines: string[] = []
  warnOfNeeds([model], limits, createLogger('info', { write: (line) => void lines.push(line) }))
  return lines.map((line) => JSON.parse(line))
}

t.test('a model that fits the limits has no warning', async (t) => {
  t.strictSame(warningsOf({ maxKeySetMegabytes: keyMegabytes, engineMegabytes: 21 }), [])
})

t.test('key sets that are too large, and too much engine memory, have a warning each', async (t) => {
  const [keys, ...none] = warningsOf({ maxKeySetMegabytes: keyMegabytes - 1, engineMegabytes: 21 })
  t.match(keys, {
    level: 40,
    model: 'deep',
    version: 3,
    keySetMegabytes: keyMegabytes,
    maxKeySetMegabytes: keyMegabytes - 1,
    msg: /Raise maxKeySetMegabytes/,
  })
  t.equal(none.length, 0)
  const [memory] = warningsOf({ maxKeySetMegabytes: keyMegabytes, engineMegabytes: 20 })
  t.match(memory, { memoryMegabytes: 21, engineMegabytes: 20, msg: /Raise engineMegabytes/ })
})
