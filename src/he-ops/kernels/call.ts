import { type KernelArguments, type KernelName, writeArguments } from './arguments.ts'
import type { Kernels } from './kernels.ts'

/**
 * Calls a kernel at once, with named arguments, and returns its result; kernels without one return nothing.
 */
export type KernelCall = <K extends KernelName>(kernel: K, args: KernelArguments<K>) => number

/** Calls of a module's kernels with named arguments. */
export function kernelCalls(kernels: Kernels): KernelCall {
  const words: number[] = []
  return (kernel, args) => {
    writeArguments(words, 0, kernel, args)
    return callPositional(kernels[kernel], words, 0)
  }
}

type PositionalKernel = Kernels[KernelName]

/**
 * Calls a kernel with the words from `w[i]` on, as many as it has parameters. The switch over the number of
 * parameters makes no array of arguments, which programs of millions of calls would pay for.
 */
export function callPositional(f: PositionalKernel, w: Int32Array | number[], i: number): number {
  switch (f.length) {
    case 2:
      return f(w[i], w[i + 1])
    case 3:
      return f(w[i], w[i + 1], w[i + 2])
    case 4:
      return f(w[i], w[i + 1], w[i + 2], w[i + 3])
    case 5:
      return f(w[i], w[i + 1], w[i + 2], w[i + 3], w[i + 4])
    case 6:
      return f(w[i], w[i + 1], w[i + 2], w[i + 3], w[i + 4], w[i + 5])
    case 7:
      return f(w[i], w[i + 1], w[i + 2], w[i + 3], w[i + 4], w[i + 5], w[i + 6])
    case 11:
      return f(
        w[i],
        w[i + 1],
        w[i + 2],
        w[i + 3],
        w[i + 4],
        w[i + 5],
        w[i + 6],
        w[i + 7],
        w[i + 8],
        w[i + 9],
        w[i + 10],
      )
    default:
      return f(...w.slice(i, i + f.length))
  }
}
