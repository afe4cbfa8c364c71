import { byId } from './elements.ts'
import type { OnPicture } from './picture.ts'

/** A picture from a file, dropped or chosen, or from the camera. */
export class Photo {
  readonly #onPicture: OnPicture
  readonly #drop = byId('drop', HTMLElement)
  readonly #viewfinder = byId('viewfinder', HTMLElement)
  readonly #video = byId('video', HTMLVideoElement)
  readonly #onTrouble: (error: unknown) => void
  #stream: MediaStream | undefined
  #opening: AbortController | undefined

  constructor(onPicture: OnPicture, onTrouble: (error: unknown) => void) {
    this.#onPicture = onPicture
    this.#onTrouble = onTrouble
    this.#takeFiles()
    this.#takeFromCamera()
  }

  #takeFiles(): void {
    const file = byId('file', HTMLInputElement)
    file.addEventListener('change', () => {
      this.#take(file.files?.[0])
      // The same file may be chosen again after another picture.
      file.value = ''
    })
    // A file that misses the field would otherwise replace the page.
    for (const kind of ['dragover', 'drop'] as const) {
      document.addEventListener(kind, (event) => event.preventDefault())
    }
    this.#drop.addEventListener('dragover', () => this.#drop.classList.add('over'))
    this.#drop.addEventListener('dragleave', () => this.#drop.classList.remove('over'))
    this.#drop.addEventListener('drop', ({ dataTransfer }) => {
      this.#drop.classList.remove('over')
      this.#take(dataTransfer?.files[0])
    })
  }

  #takeFromCamera(): void {
    const button = byId('camera', HTMLButtonElement)
    // Browsers have cameras in secure contexts alone.
    button.hidden = navigator.mediaDevices?.getUserMedia === undefined
    button.addEventListener('click', () => void this.#open().catch(this.#onTrouble))
    byId('stop-camera', HTMLButtonElement).addEventListener('click', () => this.close())
    byId('shoot', HTMLButtonElement).addEventListener('click', () => {
      void createImageBitmap(this.#video)
        .then((image) => this.#onPicture({ image }))
        .catch(this.#onTrouble)
        .finally(() => this.close())
    })
  }

  async #open(): Promise<void> {
    const opening = new AbortController()
    this.#opening?.abort()
    this.#opening = opening
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } })
    // People may have gone elsewhere while the browser asked them: no camera films unseen.
    if (opening.signal.aborted) return stop(stream)
    this.#stream = stream
    this.#video.srcObject = stream
    // There is no picture to take before it plays.
    await this.#video.play()
    this.#viewfinder.hidden = false
    this.#drop.hidden = true
  }

  /** Turns the camera off. */
  close(): void {
    this.#opening?.abort()
    if (this.#stream) stop(this.#stream)
    this.#stream = undefined
    this.#video.srcObject = null
    this.#viewfinder.hidden = true
    this.#drop.hidden = false
  }

  #take(file: File | undefined): void {
    if (file !== undefined) this.#onPicture({ image: file })
  }
}

function stop(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop()
}
