import type { OfferedModel } from '../client/polyveil.ts'
import { make } from './elements.ts'

const SHOWN_LABELS = 10

/** The models of the service, one of which is chosen. */
export class ModelPicker {
  readonly #fieldset: HTMLElement
  readonly #onChoice: (model: OfferedModel) => void

  constructor(fieldset: HTMLElement, onChoice: (model: OfferedModel) => void) {
    this.#fieldset = fieldset
    this.#onChoice = onChoice
  }

  /** Shows models, and chooses one of them. */
  show(models: readonly OfferedModel[], chosen: OfferedModel | undefined): void {
    this.#fieldset.ariaBusy = 'false'
    if (chosen === undefined) {
      this.#fieldset.replaceChildren(make('p', { className: 'soft' }, 'The service has no model at present.'))
      return
    }
    this.#fieldset.replaceChildren(...models.map((model) => this.#card(model, model === chosen)))
    this.#onChoice(chosen)
  }

  /** Chooses no model. */
  clear(): void {
    for (const radio of this.#fieldset.querySelectorAll('input')) radio.checked = false
  }

  /** Sets the last line of a model's card. */
  note(name: string, ...content: (Node | string)[]): void {
    const card = [...this.#fieldset.children].find((each) => (each as HTMLElement).dataset.model === name)
    card?.querySelector('.note')?.remove()
    card?.append(make('p', { className: 'soft note' }, ...content))
  }

  #card(model: OfferedModel, isChosen: boolean): HTMLElement {
    const id = `model-${model.name}`
    const radio = make('input', { type: 'radio', name: 'model', id, value: model.name, checked: isChosen })
    radio.addEventListener('change', () => this.#onChoice(model))
    const about = make('p', { className: 'soft', id: `${id}-about` }, labelsText(model.labels))
    radio.setAttribute('aria-describedby', about.id)
    const card = make('div', { className: 'model' }, radio, make('label', { htmlFor: id }, model.name), about)
    card.dataset.model = model.name
    return card
  }
}

function labelsText(labels: readonly string[]): string {
  if (labels.length === 0) return 'Its classes have no names.'
  const shown = labels.slice(0, SHOWN_LABELS).join(', ')
  return labels.length > SHOWN_LABELS ? `${shown} and ${labels.length - SHOWN_LABELS} more` : shown
}
