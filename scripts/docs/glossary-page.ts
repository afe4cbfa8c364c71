import { TERMS, type Term } from '../../src/cli/output/plan-page/terms.ts'

/** Terms that the documentation and the code use, but not the plan page. */
const FURTHER_TERMS: readonly Term[] = [
  [
    'Base conversion',
    'Computes the residues of an integer modulo further primes from its residues modulo others. ModUp extends digits to the special primes before key switching; ModDown divides by them afterwards.',
  ],
  [
    'Bootstrapping',
    'Restores the levels of a ciphertext without the secret key: slots to coefficients, a raise of the modulus, coefficients to slots, and a sine that removes the multiples of the small modulus.',
  ],
  ['Batch', 'Several images of one client in the same ciphertexts, interleaved slot by slot.'],
  [
    'Circuit',
    'The compiled network: a list of operations on ciphertexts with their levels, scales and weights. Its file has the ending `.pvc`.',
  ],
  [
    'CKKS',
    'The homomorphic encryption scheme of Cheon, Kim, Kim and Song. It adds and multiplies vectors of approximate complex numbers; real vectors have no imaginary parts.',
  ],
  [
    'Coefficients to slots',
    'The linear map that brings the coefficients of a polynomial into the slots of a ciphertext, so that the server can compute on them. Slots to coefficients is its inverse. Restorations take both.',
  ],
  [
    'Conjugation',
    'Changes the sign of the imaginary part of every slot. It is a key switch with a Galois key of its own, as a rotation is. Multiplying by i needs no key.',
  ],
  [
    'Egress and ingress',
    'The operations that send values to the client at a refresh (mask, re-randomise, pack), and those that take them back (check, unpack, unmask).',
  ],
  [
    'Ephemeral secret',
    'A secret with few coefficients that are not zero. A client samples it for one key set and overwrites it at once. Servers raise moduli under it: they read a ciphertext of few primes modulo all primes.',
  ],
  [
    'Extended basis',
    'The primes of the modulus Q together with the special primes P. Results of key switching stay in it as long as only sums read them, and are divided by P once.',
  ],
  [
    'Flooding',
    'Random noise that the server adds to the logits of an answer. It hides noise that depends on the weights from the client, who has the secret key.',
  ],
  [
    'Galois element',
    'The number that names an automorphism of the ring; each distance of rotation has one, and so has conjugation.',
  ],
  [
    'Hoisting',
    'A ciphertext is decomposed once for several rotations. Without hoisting, each rotation decomposes it again.',
  ],
  [
    'HTTP process and worker process',
    'The processes of a service on several machines. HTTP processes take requests, and worker processes compute. A Redis is between them.',
  ],
  [
    'Interleave',
    'The number of slots (lanes) of one position of a ciphertext: slot = position * interleave + lane. A lane holds two channels, in the real and the imaginary part of its slots.',
  ],
  [
    'Key set',
    'The public and evaluation keys that a client uploads: output key, relinearisation key, Galois keys, and the keys of an ephemeral secret where servers raise moduli. It works for all models of the same parameters whose rotations it allows.',
  ],
  [
    'Manifest',
    'The public part of a circuit: parameters, shapes, layouts, labels, preprocessing. It has no weights. Clients check it and remember its digest.',
  ],
  ['Modulus chain', 'The primes whose product is the modulus. Each rescaling divides by one of them.'],
  [
    'Noise',
    'The error that encryption, key switching and rounding add to a value. The plan states how far it lies below the logits.',
  ],
  [
    'Plan',
    'The choice of ring, primes, scales, packing, rotations, and refreshes or restorations for a network, with its cost and precision.',
  ],
  [
    'Poly-BN',
    'The reference code’s ChannelBatchNorm: a normalisation with running statistics for each position, shared by all channels. At inference it only multiplies and adds.',
  ],
  [
    'Raise',
    'Reads a ciphertext of few primes, those of the raise level, modulo all primes. The product of the few primes, times small integers, is added to its coefficients. Restorations remove it by a sine.',
  ],
  [
    'Relinearise',
    'A product of two ciphertexts has three polynomials. Relinearising brings it back to two by key switching.',
  ],
  [
    'Re-randomise',
    'Adds a fresh encryption of zero, so that a ciphertext says nothing about how it was computed.',
  ],
  [
    'Ring',
    'The polynomials that ciphertexts consist of. Its size N is a power of two; a ciphertext has N / 2 slots.',
  ],
  ['Segment', 'The part of a circuit between two refreshes or restorations.'],
  [
    'Special primes',
    'Primes beside the modulus that key switching computes with and divides by at its end. More of them make less noise and larger keys.',
  ],
  [
    'Step and wave',
    'A step is a group of operations of one kind that do not depend on each other. A wave is the operations that can run once a given refresh round is over; the steps of a wave run one after the other.',
  ],
  [
    'Waterline',
    'The least scale that values keep. A value is rescaled as long as its scale stays above the waterline.',
  ],
]

const INTRODUCTION = `<!-- Generated by \`npm run docs\`. A test compares this page with its sources. -->

# Glossary

Terms of homomorphic encryption and of PolyVeil. The page of \`polyveil inspect --html\` explains those that it uses with the
same words.`

/** The text of docs/glossary.md: the terms of the plan page and further ones, in alphabetical order. */
export function glossaryPage(): string {
  const terms = [...TERMS, ...FURTHER_TERMS].toSorted(([a], [b]) => a.localeCompare(b, 'en'))
  return `${INTRODUCTION}\n\n${terms.map(([term, text]) => `**${term}.** ${text}`).join('\n\n')}\n`
}
