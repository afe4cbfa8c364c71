import t from 'tap'
import { referenceForward } from '../../src/models/index.ts'
import { skipTrained, trainedGolden, trainedNetwork } from '../support/trained-networks.ts'
import { item, maxAbsDifference } from './support/golden.ts'

t.test('the logits of CPolyNeXt-T, trained at 224 x 224, agree', { skip: skipTrained('t224') }, async (t) => {
  const network = await trainedNetwork('t224')
  const golden = await trainedGolden('t224')
  for (let k = 0; k < 4; k++) {
    const logits = referenceForward(network, item(golden.get('input')!, k).data)
    t.ok(maxAbsDifference(logits, item(golden.get('logits')!, k).data) < 1e-4)
  }
})
