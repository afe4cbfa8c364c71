/** A word of the field, and one or two sentences for a reader who knows networks and not ciphertexts. */
export type Term = readonly [term: string, text: string]

/** The terms that the plan page uses. docs/glossary.md is generated from them and from further ones. */
export const TERMS: readonly Term[] = [
  [
    'Ciphertext',
    'An encrypted vector of numbers. The server adds and multiplies ciphertexts without being able to read them.',
  ],
  [
    'Slot',
    'A place for one number in a ciphertext. Each operation acts on all slots at once, so a ciphertext with full slots does the most work for its cost.',
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
    'The number of rescalings that a ciphertext has left. A ciphertext at a lower level has fewer primes, and operations on it are cheaper.',
  ],
  [
    'Refresh',
    'The server masks values, so that they tell the client nothing. The client decrypts them and encrypts them anew at the highest level. Networks deeper than one modulus run in this way.',
  ],
  [
    'Restoration',
    'The server brings values back to a higher level by itself, by bootstrapping. Networks deeper than one modulus run in this way with one query and one answer.',
  ],
  [
    'Rotation',
    'Moves the numbers of a ciphertext by some slots. Convolutions use rotations to bring together pixels and channels that lie in different slots.',
  ],
  [
    'Key switching',
    'After a rotation or a product, a ciphertext belongs to another secret. Key switching brings it back with a public key made for that purpose. It takes most of the time of an inference.',
  ],
  ['Galois key', 'The key for one distance of rotation. The client makes and uploads Galois keys once.'],
  ['Term', 'A ciphertext times known weights. A convolution is mostly a sum of terms.'],
  [
    'Product',
    'A ciphertext times a ciphertext. Products take the place of activations such as ReLU in polynomial networks.',
  ],
  [
    'Precision',
    'The distance of errors below values, in bits: with 10 bits an error is about a thousandth. Values are measured by their root mean square, logits by how much those of one image differ.',
  ],
]
