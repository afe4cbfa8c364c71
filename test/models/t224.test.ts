import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import {
  loadNetwork,
  parseConfig,
  readCheckpoint,
  readSafetensors,
  referenceForward,
} from '../../src/models/index.ts'
import { item, maxAbsDifference } from './support/golden.ts'

/** Too large to be part of the repository: 24 MB of weights, 3 s an image. */
const FOLDER = new URL('../../../shared/checkpoints/', import.meta.url)

function reasonToSkip(): string | false {
  if (!process.env.POLYVEIL_SLOW) return 'slow; set POLYVEIL_SLOW=1'
  return existsSync(new URL('t224.pt', FOLDER)) ? false : '../shared/checkpoints/t224.pt is not there'
}

t.test('CPolyNeXt-T trained at 224 x 224: logits', { skip: reasonToSkip() }, async (t) => {
  const config = parseConfig(readFileSync(new URL('t224.json', FOLDER), 'utf8'))
  const network = loadNetwork(await readCheckpoint(new URL('t224.pt', FOLDER)), config)
  const golden = await readSafetensors(new URL('t224.golden.safetensors', FOLDER))
  for (let k = 0; k < 4; k++) {
    const logits = referenceForward(network, item(golden.get('input')!, k).data)
    t.ok(maxAbsDifference(logits, item(golden.get('logits')!, k).data) < 1e-4)
  }
})
