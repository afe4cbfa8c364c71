import { PolyVeilError } from '../errors/index.ts'
import { make } from './elements.ts'
import { isEnded } from './service.ts'

/** What happened, and what somebody can do about it who knows nothing of cryptography. */
interface Words {
  readonly title: string
  readonly advice: string
}

const WORDS: Readonly<Record<string, Words>> = {
  SERVER_UNREACHABLE: {
    title: 'The server cannot be reached.',
    advice: 'Check that it runs and that you are online, then try again. Your keys are kept.',
  },
  TOO_BUSY: {
    title: 'The server has too much to do at present.',
    advice: 'Try again in a moment.',
  },
  WORKER_LOST: {
    title: 'The computation was lost on the way.',
    advice: 'Nothing of your picture was shown to anybody. Try again.',
  },
  INFERENCE_UNKNOWN: {
    title: 'The server does not know this computation any more, as after a restart.',
    advice: 'Try again; the picture is then encrypted anew.',
  },
  IMAGE_UNREADABLE: {
    title: 'This is not a picture that the browser can read, or it has too many pixels.',
    advice: 'Choose a PNG, JPEG or WebP file of at most 60 megapixels.',
  },
  TENSOR_OUT_OF_RANGE: {
    title: 'The network cannot handle this picture.',
    advice:
      'It was trained on pictures of another kind, and computes nonsense on this one. Try a picture that is more like ' +
      'the samples, or swap black and white.',
  },
  KEYS_EXPIRED: {
    title: 'The server does not have your keys any more.',
    advice: 'Try again; new ones are made.',
  },
  KEYS_MISSING: {
    title: 'Your keys are gone: they were forgotten or replaced meanwhile, perhaps in another tab.',
    advice: 'Try again; new ones are made.',
  },
  KEY_STORE_UNAVAILABLE: {
    title: 'The browser does not let this page keep your key.',
    advice: 'Allow this site to store data, or make room on the disk, then try again.',
  },
  MODEL_UNKNOWN: {
    title: 'The server does not have this model any more.',
    advice: 'Load the page again.',
  },
  MODEL_UNAVAILABLE: { title: 'The model is being replaced.', advice: 'Try again in a moment.' },
  UNAUTHENTICATED: {
    title: 'The service asks for a token.',
    advice: 'Ask its operator for one, and enter it above.',
  },
  CONFIG_INVALID: {
    title: 'The service cannot be used with what was entered, or in this browser.',
    advice: 'The exact message says why. A token has letters, digits and a few signs, and no spaces.',
  },
  FORBIDDEN: {
    title: 'Your token does not allow this, or its pictures are used up.',
    advice: 'Ask the operator of the service.',
  },
  PARAMETERS_MISMATCH: {
    title: 'The server shows another model than before under the same name.',
    advice:
      'Ask its operator whether the model was replaced. If you try again, the page uses the one that is there now.',
  },
  TOO_LARGE: {
    title: 'This is too large.',
    advice: 'For a picture, choose a smaller one. For a model, your browser or the server lacks the memory.',
  },
}

/** Names of errors of the browser itself, as of its camera. */
const OF_BROWSER: Readonly<Record<string, Words>> = {
  NotAllowedError: {
    title: 'The browser does not let this page use the camera.',
    advice: 'Allow it in the address bar, or choose a file.',
  },
  NotFoundError: { title: 'There is no camera.', advice: 'Choose a file.' },
  NoTab: { title: 'The browser opens no tab for this page.', advice: 'Allow pop-ups of this page.' },
  NotReadableError: { title: 'The camera is in use by another program.', advice: 'Close that program.' },
}

const UNKNOWN: Words = {
  title: 'Something went wrong.',
  advice: 'Try again, or load the page again.',
}

/** Shows an error in words, with the exact message for whoever helps. */
export function showError(container: HTMLElement, error: unknown): void {
  showWords(container, wordsFor(error), exactText(error))
}

/** Shows what is wrong. @param exact for whoever helps */
export function showWords(container: HTMLElement, { title, advice }: Words, exact: string): void {
  container.replaceChildren(
    make('p', {}, make('strong', {}, title), ' ', advice),
    make('details', {}, make('summary', {}, 'The exact message'), make('p', {}, make('code', {}, exact))),
  )
  container.hidden = false
}

/** For pages that browsers let keep no keys. */
export const INSECURE: Words = {
  title: 'This page has come without encryption, so the browser lets it keep no secret key.',
  advice: 'Open it by https instead of http; or, on the computer that runs the service, at localhost.',
}

const ENDED: Words = {
  title: 'The part of this page that computes has ended, as when the browser lacks memory.',
  advice: 'It has begun again: try once more, and close other pages if it happens again.',
}

function wordsFor(error: unknown): Words {
  if (isEnded(error)) return ENDED
  if (error instanceof PolyVeilError) return WORDS[error.code] ?? { ...UNKNOWN, advice: error.remedy }
  return (error instanceof DOMException && OF_BROWSER[error.name]) || UNKNOWN
}

function exactText(error: unknown): string {
  if (error instanceof PolyVeilError) return `${error.code}: ${error.message}`
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
