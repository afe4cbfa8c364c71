import { readFileSync } from 'node:fs'
import t from 'tap'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../../src/preprocessing/index.ts'

/** Images that the network in the clear misclassifies; provenance.md names them. */
const MISTAKEN: Readonly<Record<string, Record<string, string>>> = {
  digits: {},
  clothing: { shirt: 't-shirt', bag: 'pullover' },
}

for (const { name, checkpoint, config, images, accuracy } of bundledNetworks()) {
  t.test(`${name}: images get the answers that provenance.md states`, async (t) => {
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const { labels = [] } = config
    t.same(new Set(images.map(({ truth }) => truth)), new Set(labels), 'one image of each class')
    t.equal(images.length, 10)
    t.equal(accuracy.images, 10_000)
    for (const { file, truth } of images) {
      const image = await decodeImage(readFileSync(file))
      const logits = referenceForward(network, networkInput(preprocess(image, config.preprocessing)))
      const predicted = labels[logits.indexOf(Math.max(...logits))]
      t.equal(predicted, MISTAKEN[name][truth] ?? truth, `${truth} is classified as ${predicted}`)
    }
  })
}
