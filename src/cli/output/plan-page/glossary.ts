import { type Markup, markup } from './markup.ts'

/** The field's terms, for those who know networks and not ciphertexts. */
export const glossary = (): Markup =>
  markup`<dl class="terms">${TERMS.map(([term, text]) => markup`<div><dt>${term}</dt><dd>${text}</dd></div>\n`)}</dl>`

const TERMS: readonly (readonly [term: string, text: string])[] = [
  [
    'Ciphertext',
    'What the server computes with: an encrypted vector of numbers. It can be added and multiplied without being read.',
  ],
  [
    'Slot',
    'A place for one number in a ciphertext. Whatever is done is done to all slots at once, so full ciphertexts are cheap ones.',
  ],
  [
    'Scale',
    'CKKS computes with integers: a number is multiplied by the scale and rounded. A larger scale is more precise and takes more of the modulus.',
  ],
  [
    'Rescale',
    'A product has the product of its factors’ scales. Rescaling divides it by a prime of the modulus, which brings the scale back and costs a level.',
  ],
  [
    'Level',
    'How many rescalings a ciphertext has left. At a lower level it has fewer primes, and all that is done with it is cheaper.',
  ],
  [
    'Refresh',
    'The client decrypts values that the server has masked, so that they tell it nothing, and encrypts them anew at the highest level. That is how networks deeper than one modulus run.',
  ],
  [
    'Rotation',
    'Moves the numbers of a ciphertext by some slots. Convolutions need it to bring together pixels and channels that lie in different slots.',
  ],
  [
    'Key switching',
    'After a rotation or a product, a ciphertext belongs to another secret. Key switching brings it back with a public key made for that, and is what takes most of the time.',
  ],
  ['Galois key', 'The key of one distance of rotation. The client makes and uploads them once.'],
  ['Term', 'A ciphertext times known weights. Sums of them are what convolutions mostly are.'],
  [
    'Product',
    'A ciphertext times a ciphertext. The network’s polynomials consist of them in place of activations such as ReLU.',
  ],
  [
    'Precision',
    'How far errors lie below values, in bits: with 10 bits an error is about a thousandth. Values are taken by their root mean square, logits by how much those of one image differ.',
  ],
]
