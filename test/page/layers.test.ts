import t from 'tap'
import { layerAt } from '../../src/page/layers.ts'

const layers = [
  { name: 'stem', operations: 10 },
  { name: 'cells.0', operations: 0 },
  { name: 'cells.1', operations: 60 },
  { name: 'head', operations: 30 },
]

t.test('the layer under way is the one that has the share of the operations', async (t) => {
  const at = (share: number): string | undefined => layerAt({ layers }, share)
  t.equal(at(0), 'layer 1 of 4: stem')
  t.equal(at(0.09), 'layer 1 of 4: stem')
  t.equal(at(0.1), 'layer 3 of 4: cells.1', 'a layer without operations is never under way')
  t.equal(at(0.69), 'layer 3 of 4: cells.1')
  t.equal(at(0.7), 'layer 4 of 4: head')
  t.equal(at(1), 'layer 4 of 4: head')
  t.equal(layerAt({ layers: [] }, 0.5), undefined, 'where no plan is published')
})
