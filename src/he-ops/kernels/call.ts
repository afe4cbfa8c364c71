import { KERNEL_FIELDS, type KernelArguments, type KernelName, writeArguments } from './arguments.ts'
import type { Kernels } from './kernels.ts'

/** Calls a kernel at once with named arguments. Returns the kernel's result, if it has one. */
export type KernelCall = <K extends KernelName>(kernel: K, args: KernelArguments<K>) => number

const MOST_PARAMETERS = Math.max(...Object.values(KERNEL_FIELDS).map((fields) => fields.length))

/** Wraps a module's kernels to take named arguments. */
export function kernelCalls(kernels: Kernels): KernelCall {
  // Not an array: with its several kinds of elements, every store of `writeArguments` would be slow.
  const words = new Float64Array(MOST_PARAMETERS)
  return (kernel, args) => {
    writeArguments(words, 0, kernel, args)
    return callPositional(kernels[kernel], words, 0)
  }
}

type PositionalKernel = Kernels[KernelName]

/**
 * Calls a kernel with the words from `w[i]` on, one for each of its parameters. The switch over the number of
 * parameters avoids an array of arguments for each of a program's millions of calls.
 */
export function callPositional(f: PositionalKernel, w: Int32Array | Float64Array, i: number): number {
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
    case 12:
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
        w[i + 11],
      )
    default:
      return f(...w.slice(i, i + f.length))
  }
}
