import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { circuitText } from '../../../src/circuit/format/text.ts'
import { complexCircuit, smallCircuit } from '../circuits.ts'

/** The text kept in snapshots/. UPDATE_SNAPSHOTS=1 replaces it. */
async function snapshot(name: string, text: string): Promise<string> {
  const url = new URL(`snapshots/${name}.txt`, import.meta.url)
  if (process.env.UPDATE_SNAPSHOTS) await writeFile(url, text)
  return readFile(url, 'utf8')
}

t.test('the text has every operation of a circuit', async (t) => {
  const text = circuitText(smallCircuit())
  t.equal(text, await snapshot('small', text))
})

t.test('the text has the operations on complex slots, and marks complex constants', async (t) => {
  const text = circuitText(complexCircuit())
  t.equal(text, await snapshot('complex', text))
})

t.test('the text does not depend on weights', async (t) => {
  const circuit = smallCircuit()
  const text = circuitText(circuit)
  for (const constant of circuit.constants) constant.fill(0.125)
  t.equal(circuitText(circuit), text)
})
