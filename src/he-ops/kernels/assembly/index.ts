// What the module offers. Pointers are byte addresses in the imported memory, residues are u32 below a prime q < 2^30.

export { BINOMIAL_BOUND, BINOMIAL_BYTES, binomial } from './binomial'
export { CHUNK_BYTES, expandChunk as streamChunk, SCRATCH_BYTES } from './blake2xb'
export { DOT_GRANULE, dot } from './dot'
export { add, addBlocks, copy, multiplyPairs, quotients, scale, subtract, subtractScale } from './elementwise'
export { reduceDoubles } from './encoding'
export { permute } from './galois'
export { clear, keepBits } from './memory'
export { uniformNoted, unpackNoted } from './noted'
export { nttForward, nttInverse } from './ntt'
export { pack, UNPACK_SLACK, unpack } from './packing'
export { TERNARY_RESERVE, ternary } from './ternary'
export { uniform } from './uniform'
