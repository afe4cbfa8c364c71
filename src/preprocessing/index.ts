export { largestYield, type PreprocessingFault, preprocessingFault, sentChannels } from './check.ts'
export type { Image } from './planes.ts'
export { networkInput, type PreprocessedImage, preprocess } from './preprocess.ts'
export type { Preprocessing } from './types.ts'
