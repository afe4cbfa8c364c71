import * as z from 'zod'
import { make } from './elements.ts'
import type { OnPicture } from './picture.ts'
import { answerOf, fileOf } from './service.ts'

const sampleSchema = z.object({ file: z.string(), truth: z.string() })
const samplesSchema = z.record(z.string(), z.array(sampleSchema))

type Sample = z.infer<typeof sampleSchema>
type SamplesOfNetworks = z.infer<typeof samplesSchema>

/** Test pictures that come with the page, by the networks that they are for. */
export class Samples {
  readonly #container: HTMLElement
  readonly #onPicture: OnPicture
  readonly #onTrouble: (error: unknown) => void
  readonly #base: URL
  #all: Promise<SamplesOfNetworks> | undefined

  /** @param base of the samples' files */
  constructor(container: HTMLElement, base: URL, onPicture: OnPicture, onTrouble: (error: unknown) => void) {
    this.#container = container
    this.#base = base
    this.#onPicture = onPicture
    this.#onTrouble = onTrouble
  }

  /**
   * Shows the samples whose truth is one of a model's labels.
   *
   * @returns their number
   * @throws SERVER_UNREACHABLE when they do not come; the next call asks for them again
   */
  async show(labels: readonly string[]): Promise<number> {
    this.#all ??= this.#load()
    const all = Object.values(
      await this.#all.catch((error) => {
        this.#all = undefined
        throw error
      }),
    )
    const fitting = all.find((samples) => samples.every(({ truth }) => labels.includes(truth))) ?? []
    this.#container.replaceChildren(...fitting.map((sample) => this.#button(sample)))
    return fitting.length
  }

  #button({ file, truth }: Sample): HTMLButtonElement {
    const address = new URL(file, this.#base)
    const picture = make('img', { src: address.href, alt: '', width: 28, height: 28 })
    const button = make('button', { type: 'button', ariaPressed: 'false' }, picture, truth)
    button.addEventListener('click', () => {
      void this.#choose(button, address, truth).catch(this.#onTrouble)
    })
    return button
  }

  async #choose(button: HTMLButtonElement, address: URL, truth: string): Promise<void> {
    for (const other of this.#container.querySelectorAll('button')) other.ariaPressed = 'false'
    button.ariaPressed = 'true'
    const image = await (await fileOf(address)).blob()
    // Another sample may have been chosen meanwhile.
    if (button.ariaPressed === 'true') this.#onPicture({ image, truth, invert: false })
  }

  /** A page without samples, as one that was built without them, shows none. */
  async #load(): Promise<SamplesOfNetworks> {
    const answer = await answerOf(new URL('samples.json', this.#base))
    return answer.ok ? samplesSchema.parse(await answer.json()) : {}
  }
}
