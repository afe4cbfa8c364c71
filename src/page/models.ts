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

  /** Says in a sentence why there are no models yet. @param isBusy whether they are being asked for */
  say(text: string, isBusy = false): void {
    this.#replace(isBusy, make('p', { className: 'soft' }, text))
  }

  /** Says that the models could not be loaded, with a button that asks for them again. */
  fail(again: () => void): void {
    const button = make('button', { type: 'button' }, 'Try again')
    button.addEventListener('click', again)
    this.#replace(false, make('p', { className: 'soft' }, 'The models could not be loaded.'), button)
  }

  /** Shows models, and chooses one of them. */
  show(models: readonly OfferedModel[], chosen: OfferedModel | undefined): void {
    if (chosen === undefined) {
      this.say('The service has no model at present.')
      return
    }
    this.#replace(false, ...models.map((model) => this.#card(model, model === chosen)))
    this.#onChoice(chosen)
  }

  /** Chooses no model. */
  clear(): void {
    for (const radio of this.#fieldset.querySelectorAll('input')) radio.checked = false
  }

  /** Sets the last line of a model's card, and takes those of the others away. */
  note(name: string, ...content: (Node | string)[]): void {
    this.unnote()
    const card = [...this.#fieldset.children].find((each) => (each as HTMLElement).dataset.model === name)
    card?.append(make('p', { className: 'soft note' }, ...content))
  }

  /** Takes the last lines of all cards away. */
  unnote(): void {
    for (const note of this.#fieldset.querySelectorAll('.note')) note.remove()
  }

  /** Replaces what is shown. Who was in it with the keyboard stays in it. */
  #replace(isBusy: boolean, ...content: Node[]): void {
    const hadFocus = this.#fieldset.contains(document.activeElement)
    this.#fieldset.ariaBusy = String(isBusy)
    this.#fieldset.replaceChildren(...content)
    if (!hadFocus) return
    const next = this.#fieldset.querySelector<HTMLElement>('input:checked, button') ?? this.#fieldset
    next.focus()
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
