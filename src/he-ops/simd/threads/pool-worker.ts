import { workerData } from 'node:worker_threads'
import { instantiateKernels } from '../../kernels/kernels.ts'
import { type CrewMember, runShare, type Share } from './crew.ts'

// A thread of a pool in Node. It has the memory, and no information about its contents.

const { memory, module } = workerData as CrewMember
const kernels = await instantiateKernels(memory, module)

export default (share: Share): void => runShare(share, kernels)
