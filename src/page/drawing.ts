import { centred } from './centred.ts'
import { contextOf } from './elements.ts'
import type { OnPicture } from './picture.ts'

/** Side of the canvas in its own pixels, and width of the pen. */
const SIDE = 280
const PEN = 22

/** A black canvas to draw on in white, as the digits are that networks are trained on. */
export class Drawing {
  readonly #context: CanvasRenderingContext2D
  readonly #canvas: HTMLCanvasElement
  readonly #onPicture: OnPicture
  #last: { x: number; y: number } | undefined

  constructor(canvas: HTMLCanvasElement, onPicture: OnPicture) {
    this.#canvas = canvas
    this.#onPicture = onPicture
    this.#context = contextOf(canvas, SIDE, SIDE)
    this.clear()
    canvas.addEventListener('pointerdown', (event) => this.#begin(event))
    canvas.addEventListener('pointermove', (event) => this.#move(event))
    for (const end of ['pointerup', 'pointercancel'] as const) {
      canvas.addEventListener(end, () => this.#end())
    }
  }

  /** Wipes the canvas, and tells that there is no picture. */
  clear(): void {
    this.#context.fillStyle = '#000'
    this.#context.fillRect(0, 0, SIDE, SIDE)
    this.tell()
  }

  /** Tells of the picture that is drawn now. */
  tell(): void {
    const { data } = this.#context.getImageData(0, 0, SIDE, SIDE)
    const grey = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i])
    const image = centred({ width: SIDE, height: SIDE, data: grey })
    this.#onPicture(image && { image: { ...image, channels: 1 }, invert: false })
  }

  #begin(event: PointerEvent): void {
    if (event.button !== 0) return
    event.preventDefault()
    this.#canvas.setPointerCapture(event.pointerId)
    this.#last = this.#placeOf(event)
    this.#lineTo(this.#last)
  }

  #move(event: PointerEvent): void {
    if (this.#last === undefined) return
    // Events that the browser has put together would make corners.
    for (const each of event.getCoalescedEvents?.() ?? [event]) this.#lineTo(this.#placeOf(each))
  }

  #end(): void {
    if (this.#last === undefined) return
    this.#last = undefined
    this.tell()
  }

  #lineTo(to: { x: number; y: number }): void {
    const context = this.#context
    const from = this.#last ?? to
    context.strokeStyle = '#fff'
    context.lineWidth = PEN
    context.lineCap = 'round'
    context.lineJoin = 'round'
    context.beginPath()
    context.moveTo(from.x, from.y)
    context.lineTo(to.x, to.y)
    context.stroke()
    this.#last = to
  }

  #placeOf({ clientX, clientY }: PointerEvent): { x: number; y: number } {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect()
    return { x: ((clientX - left) / width) * SIDE, y: ((clientY - top) / height) * SIDE }
  }
}
