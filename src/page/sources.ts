import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { OfferedModel } from '../client/polyveil.ts'
import { Drawing } from './drawing.ts'
import { byId } from './elements.ts'
import { Photo } from './photo.ts'
import type { OnPicture, Picture } from './picture.ts'
import { Samples } from './samples.ts'
import { Tabs } from './tabs.ts'

/** The three ways to choose a picture: drawing, samples, and photographs. */
export class Sources {
  readonly #tabs: Tabs
  readonly #drawing: Drawing
  readonly #samples: Samples
  readonly #photo: Photo

  /** @param base of the files of samples */
  constructor(base: URL, onPicture: OnPicture, onTrouble: (error: unknown) => void) {
    const take = (picture: Picture | undefined): void => onPicture(picture)
    this.#drawing = new Drawing(byId('drawing', HTMLCanvasElement), take)
    this.#samples = new Samples(byId('samples', HTMLElement), base, take, onTrouble)
    this.#photo = new Photo(take, onTrouble)
    this.#tabs = new Tabs(byId('sources', HTMLElement), (id) => {
      if (id !== 'tab-photo') this.#photo.close()
    })
    byId('clear', HTMLButtonElement).addEventListener('click', () => this.#drawing.clear())
  }

  /** Offers what fits a model. */
  async offer({ labels }: Pick<Manifest, 'labels'>): Promise<void> {
    const samples = await this.#samples.show(labels)
    const isDrawn = isDrawable({ labels })
    this.#tabs.offer('tab-samples', samples > 0)
    this.#tabs.offer('tab-draw', isDrawn)
    this.#tabs.choose(isDrawn ? 'tab-draw' : samples > 0 ? 'tab-samples' : 'tab-photo')
  }

  /** Turns the camera off. */
  close(): void {
    this.#photo.close()
  }
}

/** Whether pictures of a model can be drawn by hand: its classes are digits. */
export const isDrawable = ({ labels }: Pick<OfferedModel, 'labels'>): boolean =>
  labels.length > 0 && labels.every((label) => /^\d$/.test(label))
