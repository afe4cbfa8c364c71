import '../client/in-worker/no-eval.ts'
import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { ModelSizes } from '../client/local/limits.ts'
import type { OfferedModel } from '../client/polyveil.ts'
import { PolyVeilError } from '../errors/index.ts'
import { secondsText } from '../text/units.ts'
import { byId, make } from './elements.ts'
import { KeyPanel } from './key-panel.ts'
import { type PublishedPlan, publishedPlan } from './layers.ts'
import { INSECURE, showError, showWords } from './messages.ts'
import { ModelPicker } from './models.ts'
import type { Picture } from './picture.ts'
import { openPlan } from './plan-tab.ts'
import { clear, type Prepared, prepared, show } from './preview.ts'
import { ResultView } from './result.ts'
import { run } from './run.ts'
import { connectTo, isEnded, type PageConnection } from './service.ts'
import { sizesOf } from './sizes.ts'
import { isDrawable, Sources } from './sources.ts'
import { TensorMaker } from './tensor-maker.ts'

/** The model that is chosen. */
interface Chosen {
  readonly manifest: Manifest
  readonly sizes: ModelSizes
  readonly plan: PublishedPlan | undefined
}

const service = new URL('.', document.baseURI)
const trouble = byId('trouble', HTMLElement)
const status = byId('status', HTMLElement)
const classify = byId('classify', HTMLButtonElement)
const cancel = byId('cancel', HTMLButtonElement)
const invert = byId('invert', HTMLInputElement)
const preview = byId('preview', HTMLCanvasElement)

/** The page: what is chosen, and what happens with it. */
class Page {
  // Stated first: the parts below tell of pictures as soon as they are made.
  readonly #tensors = new TensorMaker()
  #connection: PageConnection | undefined
  #token: string | undefined
  #chosen: Chosen | undefined
  #picture: Picture | undefined
  #prepared: Prepared | undefined
  /** The model that was chosen last. What was asked for another one comes too late. */
  #choice: OfferedModel | undefined
  #preparing = 0
  #running: AbortController | undefined
  readonly #picker = new ModelPicker(byId('models', HTMLElement), (model) =>
    this.#act(() => this.#choose(model)),
  )
  readonly #sources = new Sources(
    new URL('assets/samples/', service),
    (picture) => this.#act(() => this.#take(picture)),
    report,
  )
  readonly #keys = new KeyPanel(report)

  constructor() {
    classify.addEventListener('click', () => this.#act(() => this.#run()))
    cancel.addEventListener('click', () => this.#running?.abort())
    invert.addEventListener('change', () => this.#act(() => this.#prepare(invert.checked)))
    byId('token-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      // A run under way has the connection that is about to end.
      this.#running?.abort()
      this.connect(byId('token', HTMLInputElement).value.trim())
    })
    // A browser may keep the page as it is, and show it again when somebody goes back.
    addEventListener('pagehide', () => this.#sources.close())
    addEventListener('pageshow', ({ persisted }) => {
      if (persisted) this.#act(() => this.#keys.refresh())
    })
  }

  /** Connects, and shows the models. */
  connect(token?: string): void {
    this.#picker.say('Asking the server for its models…', true)
    this.#act(async () => {
      try {
        await this.#reconnect(token)
        await this.#showModels()
        hideTokenForm()
      } catch (error) {
        await this.#withoutModels(error, token)
      }
    })
  }

  /** Shows the models, and chooses the one that was chosen before; without it one that can be drawn. */
  async #showModels(): Promise<void> {
    const models = await this.#connection!.client.models()
    const before = models.find(({ name }) => name === this.#choice?.name)
    this.#picker.show(models, before ?? models.find(isDrawable) ?? models[0])
  }

  /**
   * Shows what can be done where the models did not come. @throws the error, unless it only asks for a token
   */
  async #withoutModels(error: unknown, token: string | undefined): Promise<void> {
    const needsToken = isUnauthenticated(error)
    if (needsToken) this.#picker.say('The service shows its models to those who have a token.')
    else this.#picker.fail(() => this.connect(token))
    await this.#keys.showWithoutModel()
    if (token !== undefined || !needsToken) throw error
    askForToken()
  }

  /** Connects, and ends the connection there was. */
  async #reconnect(token: string | undefined): Promise<void> {
    const before = this.#connection
    this.#connection = await connectTo(service, token)
    this.#keys.use(this.#connection)
    this.#token = token
    await before?.client.close()
  }

  async #choose(model: OfferedModel): Promise<void> {
    this.#choice = model
    this.#chosen = undefined
    this.#picker.unnote()
    this.#keys.hide()
    try {
      await this.#prepare()
      await this.#load(model)
    } catch (error) {
      if (this.#choice !== model) return
      // It can be chosen again.
      this.#chosen = undefined
      this.#picker.unnote()
      this.#picker.clear()
      await Promise.all([this.#keys.showWithoutModel(), this.#prepare()])
      throw error
    }
  }

  async #load(model: OfferedModel): Promise<void> {
    const { name } = model
    const manifest = await this.#connection!.client.manifest(name)
    const sizes = sizesOf(manifest)
    const plan = await publishedPlan(service, name, this.#token)
    if (this.#choice !== model) return
    this.#chosen = { manifest, sizes, plan }
    this.#picker.note(name, ...notesOn(this.#chosen, this.#token))
    await this.#sources.offer(manifest)
    await this.#prepare()
    if (this.#choice === model) await this.#keys.show(manifest, sizes)
  }

  async #take(picture: Picture | undefined): Promise<void> {
    this.#picture = picture
    await this.#prepare()
  }

  /** @param wanted whether to swap black and white; undefined where the picture decides */
  async #prepare(wanted?: boolean): Promise<void> {
    const [picture, chosen, place] = [this.#picture, this.#chosen, ++this.#preparing]
    this.#prepared = undefined
    clear(preview, 'No picture yet')
    this.#update()
    if (picture === undefined || chosen === undefined || !takesPictures(chosen)) return
    const ready = await prepared(this.#tensors, picture, chosen.manifest, wanted)
    if (this.#preparing !== place) return
    this.#prepared = ready
    invert.checked = ready.invert
    show(preview, ready, chosen.manifest, 'The picture as the network gets it')
    this.#update()
  }

  #update(): void {
    const isReady = this.#prepared !== undefined && this.#chosen !== undefined
    classify.disabled = !isReady || this.#running !== undefined
    cancel.hidden = this.#running === undefined
  }

  async #run(): Promise<void> {
    const [chosen, ready, picture] = [this.#chosen!, this.#prepared!, this.#picture!]
    const { client } = this.#connection!
    const running = new AbortController()
    this.#running = running
    this.#update()
    const view = new ResultView(ready, chosen.manifest)
    status.textContent = 'Under way…'
    const begun = performance.now()
    try {
      const result = await run(ready.tensor, {
        ...chosen,
        client,
        signal: running.signal,
        onStage: (name, state) => view.stages.set(name, state),
        onEncrypted: (frame) => view.encrypted(frame),
      })
      view.answered(result, picture.truth)
      status.textContent = `Answered in ${secondsText((performance.now() - begun) / 1000)}: ${result.best[0].label}.`
    } catch (error) {
      view.stages.fail()
      status.textContent = running.signal.aborted ? 'Cancelled.' : ''
      if (isEnded(error)) await this.#renew()
      // The next try needs the labels, and the form of pictures, of the model that is there now.
      if (isReplaced(error)) await this.#showModels()
      if (!running.signal.aborted) throw error
    } finally {
      // A button that is hidden or disabled loses the focus to the top of the page.
      const hadFocus = document.activeElement === cancel || document.activeElement === document.body
      this.#running = undefined
      this.#update()
      if (hadFocus) classify.focus({ preventScroll: true })
      await this.#keys.refresh().catch(() => {})
    }
  }

  /** Connects again after the Web Worker has ended. */
  async #renew(): Promise<void> {
    await this.#reconnect(this.#token)
    const chosen = this.#chosen
    if (chosen) await this.#keys.show(chosen.manifest, chosen.sizes)
  }

  /** Does something, and shows what goes wrong. */
  #act(action: () => Promise<void>): void {
    trouble.hidden = true
    void action().catch(report)
  }
}

const isUnauthenticated = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.code === 'UNAUTHENTICATED'

const isReplaced = (error: unknown): boolean =>
  error instanceof PolyVeilError && error.code === 'PARAMETERS_MISMATCH'

function askForToken(): void {
  byId('token-form', HTMLElement).hidden = false
  byId('token', HTMLElement).focus()
}

/** Hides the form, and takes those who were in it with the keyboard to the model that is chosen. */
function hideTokenForm(): void {
  const form = byId('token-form', HTMLElement)
  const hadFocus = form.contains(document.activeElement)
  form.hidden = true
  if (hadFocus) document.querySelector<HTMLElement>('#models input:checked')?.focus()
}

function report(error: unknown): void {
  showError(trouble, error)
  // A token may expire, or be revoked, at any time.
  if (isUnauthenticated(error)) askForToken()
  trouble.scrollIntoView({ block: 'nearest' })
}

const takesPictures = ({ manifest }: Chosen): boolean => manifest.input.preprocessing !== null

/** @param token of the service */
function notesOn(chosen: Chosen, token: string | undefined): (Node | string)[] {
  const { manifest, plan } = chosen
  if (!takesPictures(chosen)) {
    return ['This model takes no pictures, but numbers that a program has prepared. This page cannot ask it.']
  }
  const way =
    manifest.rounds === 0
      ? 'One message there, one back. '
      : `${manifest.rounds} rounds, in which your browser refreshes masked values. `
  return plan === undefined ? [way] : [way, planLink(plan, manifest.model, token !== undefined)]
}

/** @param needsToken whether the service asks for a token, which a link could not send */
function planLink({ address, html }: PublishedPlan, model: string, needsToken: boolean): HTMLElement {
  const text = `How ${model} is computed`
  if (!needsToken) return make('a', { href: address.href, target: '_blank' }, text)
  const button = make('button', { type: 'button', className: 'link' }, text)
  button.addEventListener('click', () => {
    try {
      openPlan(html)
    } catch (error) {
      report(error)
    }
  })
  return button
}

if (isSecureContext) new Page().connect()
else {
  // Nothing else of the page would work.
  for (const part of document.querySelectorAll<HTMLElement>('main section')) part.hidden = true
  showWords(trouble, INSECURE, location.origin)
}
