import type { Manifest } from '../circuit/manifest/manifest.ts'
import { bytesText } from '../text/units.ts'
import { RESIDUES_OFFSET } from '../wire/tensor.ts'
import { byId, make } from './elements.ts'
import { drawNoise } from './noise.ts'
import { type Prepared, show } from './preview.ts'
import type { RunResult } from './run.ts'
import { showScores } from './scores.ts'
import { showSeen } from './seen.ts'
import { STAGES, StageList } from './stages.ts'

/** Bytes of the encrypted picture that are kept for the page; noise and the listing take fewer. */
const KEPT_BYTES = 64 * 1024

const ANSWER = 'The answer, which only this browser can read'

/** The part of the page that shows what happens in one run. */
export class ResultView {
  readonly stages: StageList
  #frame = new Uint8Array()

  /** Begins anew, with the picture of the run. */
  constructor(prepared: Prepared, manifest: Manifest) {
    byId('result', HTMLElement).hidden = false
    // Another model may be chosen afterwards.
    byId('result-title', HTMLElement).textContent = `What happened with ${manifest.model}`
    byId('scores', HTMLElement).replaceChildren(make('p', { className: 'soft' }, 'No answer yet'))
    byId('truth', HTMLElement).textContent = ANSWER
    byId('seen', HTMLElement).replaceChildren()
    show(byId('shown', HTMLCanvasElement), prepared, manifest, 'Your picture')
    const names = STAGES.filter((name) => name !== 'refresh' || manifest.rounds > 0)
    this.stages = new StageList(byId('stages', HTMLElement), names)
  }

  /** Shows the encrypted picture. @param frame whose memory the client may transfer afterwards */
  encrypted(frame: Uint8Array): void {
    this.#frame = frame.slice(0, KEPT_BYTES)
    drawNoise(byId('noise', HTMLCanvasElement), this.#frame, RESIDUES_OFFSET)
    byId('noise-bytes', HTMLElement).textContent = `${bytesText(frame.length)} of noise`
  }

  /** Shows the answer. @param truth what the picture shows, where that is known */
  answered({ best, exchanged }: RunResult, truth: string | undefined): void {
    showScores(byId('scores', HTMLElement), best)
    byId('truth', HTMLElement).textContent =
      truth === undefined ? ANSWER : `The picture is labelled “${truth}”`
    showSeen(byId('seen', HTMLElement), exchanged, this.#frame.subarray(RESIDUES_OFFSET))
    if (isFocusFree()) byId('result-title', HTMLElement).focus({ preventScroll: true })
  }
}

/** Whether nobody has gone elsewhere with the keyboard since the run began. */
const isFocusFree = (): boolean =>
  [document.body, byId('classify', HTMLElement), byId('cancel', HTMLElement)].includes(
    document.activeElement as HTMLElement,
  )
