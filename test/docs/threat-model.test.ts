import t from 'tap'
import { page } from './support.ts'

// Statements that the threat model must contain.

const model = page('docs/threat-model.md').replace(/\s+/g, ' ')

/** The text from a heading to the next one. */
const section = (heading: string): string => model.split(`${heading} `)[1]?.split(/ ## /)[0] ?? ''

t.test('the threat model says what hides each polynomial, and names each assumption', async (t) => {
  const hidden = section('### Which polynomial is hidden by what')
  t.match(hidden, /\| the first \| the mask: exactly uniform, no assumption \|/)
  t.match(hidden, /\| the second \| [^|]*RLWE \|/)
  t.match(section('## Masks'), /key-dependent message \(KDM\) security/)
})

t.test('the threat model says what n answers reveal', async (t) => {
  t.match(model, /n answers reveal the logits of n images\./)
})

t.test('the threat model says why a value is not masked twice', async (t) => {
  const masks = section('## Masks')
  t.match(masks, /Another mask for the same value tells nothing/)
  t.match(masks, /ePrint 2024\/194 and 2025\/409/)
  t.notMatch(model, /never the same value under another mask/)
})

t.test('the comment of classify explains IND-CPA-D where results are decrypted', async (t) => {
  const source = page('src/client/polyveil.ts').replace(/\s+\* |\s+/g, ' ')
  const classify = source.split('Classifies an image without showing it to the server')[1].split('@param')[0]
  t.match(classify, /not IND-CPA-D\).*enough of them reveal the key/)
  t.match(model, /IND-CPA is not IND-CPA-D/)
})
