import t from 'tap'
import { page } from './support.ts'

// What the threat model has to name, whatever else it says.

const model = page('docs/threat-model.md').replace(/\s+/g, ' ')

/** From a heading to the next of its depth. */
const section = (heading: string): string => model.split(`${heading} `)[1]?.split(/ ## /)[0] ?? ''

t.test('each polynomial has what hides it, and each assumption its name', async (t) => {
  const hidden = section('### Which polynomial is hidden by what')
  t.match(hidden, /\| the first \| the mask: exactly uniform, no assumption \|/)
  t.match(hidden, /\| the second \| [^|]*RLWE \|/)
  t.match(section('## Masks'), /key-dependent message \(KDM\) security/)
})

t.test('answers: what n of them tell', async (t) => {
  t.match(model, /n answers reveal the logits of n images\./)
})

t.test('a second mask for one value: the reason is another run of the step, with other noise', async (t) => {
  const masks = section('## Masks')
  t.match(masks, /Another mask for the same value tells nothing/)
  t.match(masks, /ePrint 2024\/194 and 2025\/409/)
  t.notMatch(model, /never the same value under another mask/)
})

t.test('IND-CPA-D in plain words, where results are decrypted', async (t) => {
  const source = page('src/client/polyveil.ts').replace(/\s+\* |\s+/g, ' ')
  const classify = source.split('Classifies an image without showing it to the server')[1].split('@param')[0]
  t.match(classify, /not IND-CPA-D\).*enough of them reveal the key/)
  t.match(model, /IND-CPA is not IND-CPA-D/)
})
