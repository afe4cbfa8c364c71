// Exports of the module. Pointers are byte addresses in the imported memory; residues are u32 below a prime q
// < 2^30.

export { BINOMIAL_BOUND, BINOMIAL_BYTES, binomial } from './binomial'
export { CHUNK_BYTES, expandChunk as streamChunk, SCRATCH_BYTES } from './blake2xb'
export { DOT_GRANULE, dot, dotPermuted } from './dot'
export { add, addBlocks, copy, multiplyPairs, quotients, reduce, scale, subtract, subtractScale } from './elementwise'
export { reduceDoubles, reduceMessage } from './encoding'
export { expand, expandDoubles } from './expand'
export { permute } from './galois'
export { clear } from './memory'
export { uniformNoted, unpackNoted } from './noted'
export { nttForward, nttInverse } from './ntt'
export { pack, UNPACK_SLACK, unpack } from './packing'
export { exactQuotients } from './exact-quotients'
export { RESIDUE_BYTES, RESIDUE_RESERVE, residues } from './residues'
export { scatter } from './scatter'
export { TERNARY_RESERVE, ternary } from './ternary'
export { uniform } from './uniform'
