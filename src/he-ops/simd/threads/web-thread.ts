import { instantiateKernels, type Kernels } from '../../kernels/kernels.ts'
import { type CrewMember, runShare, type Share } from './crew.ts'

// A thread of a pool in a browser: the script of a Web Worker. It has the memory, and no information about
// its contents. It answers a share with nothing, or with the text of an error.

/** To a thread of a browser: first what it works on, then shares. */
export type ThreadMessage = CrewMember | Share

let kernels: Promise<Kernels> | undefined

addEventListener('message', async ({ data }: MessageEvent<ThreadMessage>) => {
  if ('module' in data) {
    kernels = instantiateKernels(data.memory, data.module)
    return
  }
  try {
    runShare(data, await kernels!)
    postMessage(undefined)
  } catch (error) {
    postMessage(String(error))
  }
})
