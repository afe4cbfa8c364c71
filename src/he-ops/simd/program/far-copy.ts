import { FAR_UNIT_BYTES } from '../../kernels/far-source.ts'
import type { Item } from './program.ts'

/** Copies bytes of far memory to kernel memory. @param bytes in whole units, as `from` is */
export const farCopy =
  (to: number, from: number, bytes: number): Item =>
  (call) =>
    call('fetch', { out: to, from: from / FAR_UNIT_BYTES, units: bytes / FAR_UNIT_BYTES })
