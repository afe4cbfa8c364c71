import asc from 'assemblyscript/asc'
import { median } from '../harness.ts'

const CHAIN = 50_000_000

/**
 * Measures the clock of the current core in cycles per second. It uses a chain of dependent 32-bit
 * multiplications, which take three cycles each on every x86-64 processor of the last ten years. The system
 * often states only a nominal clock.
 */
export function clockHertz(): number {
  const times = Array.from({ length: 5 }, () => {
    const start = performance.now()
    multiplyChain(CHAIN, 7)
    return (performance.now() - start) / 1000
  })
  return (3 * CHAIN) / median(times.slice(1))
}

function multiplyChain(length: number, seed: number): number {
  let x = seed
  for (let i = 0; i < length; i++) x = Math.imul(x, 0x5bd1e995)
  return x
}

/** Eight independent chains of two operations each: 16 vector instructions, and three for the loop. */
const PEAK = `
export function peak(rounds: i32): i32 {
  const c = i32x4.splat(rounds)
  const d = i32x4.splat(rounds ^ 12345)
  ${each((k) => `let v${k} = i32x4.splat(${k + 1})`)}
  for (let i = 0; i < rounds; i++) {
    ${each((k) => `v${k} = v128.xor(v128.add<i32>(v${k}, c), d)`)}
  }
  return i32x4.extract_lane(${Array.from({ length: 7 }, (_, k) => k).reduce((sum, k) => `v128.add<i32>(${sum}, v${k})`, 'v7')}, 0)
}`
const PEAK_ROUNDS = 20_000_000
const PEAK_INSTRUCTIONS = 16

function each(line: (k: number) => string): string {
  return Array.from({ length: 8 }, (_, k) => line(k)).join('\n  ')
}

/**
 * The largest number of 128-bit vector instructions per second in WebAssembly, for additions and exclusive
 * ors.
 */
export async function peakVectorInstructions(): Promise<number> {
  const { error, binary } = await asc.compileString(PEAK, {
    optimizeLevel: 3,
    noAssert: true,
    enable: ['simd'],
    runtime: 'stub',
  })
  if (error || binary === null) throw new Error(`The probe does not compile: ${error?.message}`)
  const { instance } = await WebAssembly.instantiate(binary as BufferSource)
  const peak = instance.exports.peak as (rounds: number) => number
  const times = Array.from({ length: 6 }, () => {
    const start = performance.now()
    peak(PEAK_ROUNDS)
    return (performance.now() - start) / 1000
  })
  return (PEAK_ROUNDS * PEAK_INSTRUCTIONS) / Math.min(...times)
}
