import type { ClientProgress } from '../../client/index.ts'
import type { Progress } from './progress.ts'

const STAGES = {
  keys: 'making and uploading keys',
  encrypt: 'encrypting',
  infer: 'waiting for the server',
  refresh: 'refreshing',
  decrypt: 'decrypting',
} as const

/**
 * Shows a client's progress: a step for each stage of each inference. @param files of the images that the
 * client was given
 */
export function showing(progress: Progress, files: readonly string[]): (state: ClientProgress) => void {
  let current: string | undefined
  return (state) => {
    const { stage, rounds, images = [], bytesDone, bytesTotal, operations } = state
    const names = namesText(images.map((place) => files[place]))
    if (stage === 'wait') {
      progress.step(`${names}: ${waitText(state)}`)
      current = undefined
      return
    }
    if (stage === 'restart') {
      progress.note(`${names}: ${restartText(state)}`)
      current = undefined
      return
    }
    const step = `${names}: ${STAGES[stage]}${rounds ? `, ${rounds} rounds` : ''}`
    if (step !== current) progress.step(step)
    current = step
    // While the server computes, its operations say how far it is, and bytes do not.
    if (operations) progress.update(operations.done, operations.total)
    else if (stage !== 'infer') progress.update(bytesDone, bytesTotal)
  }
}

const waitText = ({ waitsFor, secondsLeft = 0 }: ClientProgress): string =>
  `the server has no room for ${waitsFor === 'keys' ? 'keys' : 'an inference'} now; trying again in ${Math.ceil(secondsLeft)} s`

const restartText = ({ reason, restart, restarts, secondsLeft = 0 }: ClientProgress): string =>
  `the inference is lost (${reason}); beginning again in ${Math.ceil(secondsLeft)} s (restart ${restart} of ${restarts} at most)`

const namesText = ([first, ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`
