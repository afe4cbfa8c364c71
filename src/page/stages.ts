import { make } from './elements.ts'

/** The steps of a private classification, in their order. */
export const STAGES = ['keys', 'encrypt', 'send', 'compute', 'refresh', 'decrypt'] as const
export type StageName = (typeof STAGES)[number]

const TITLES: Readonly<Record<StageName, string>> = {
  keys: 'Keys',
  encrypt: 'Encrypt the picture, here',
  send: 'Send the encrypted picture',
  compute: 'The server computes on the encrypted picture',
  refresh: 'Refresh intermediate values, here',
  decrypt: 'Decrypt the answer, here',
}

/** How far a step is. */
export interface StageState {
  readonly state: 'waiting' | 'running' | 'done' | 'failed'
  /** From 0 to 1; undefined where it is not known. */
  readonly share?: number
  readonly figures?: string
  readonly detail?: string
}

const MARKS: Readonly<Record<StageState['state'], readonly [mark: string, words: string]>> = {
  waiting: ['·', 'not begun'],
  running: ['▸', 'under way'],
  done: ['✓', 'done'],
  failed: ['✕', 'failed'],
}

/** The list of steps. */
export class StageList {
  readonly #rows = new Map<StageName, HTMLElement>()
  readonly #states = new Map<StageName, StageState>()

  /** @param names of the steps that a model has */
  constructor(list: HTMLElement, names: readonly StageName[]) {
    for (const name of names) {
      const row = make('li')
      row.dataset.stage = name
      this.#rows.set(name, row)
      this.set(name, { state: 'waiting' })
    }
    list.replaceChildren(...this.#rows.values())
  }

  /** Shows how far a step is. What is left out stays as it was. */
  set(name: StageName, change: StageState): void {
    const row = this.#rows.get(name)
    if (row === undefined) return
    const state = { ...this.#states.get(name), ...change }
    this.#states.set(name, state)
    row.dataset.state = state.state
    row.replaceChildren(...rowOf(TITLES[name], state))
  }

  /** Marks what was under way as failed. */
  fail(): void {
    for (const [name, { state }] of this.#states) if (state === 'running') this.set(name, { state: 'failed' })
  }
}

function rowOf(title: string, { state, share, figures = '', detail }: StageState): Node[] {
  const [mark, words] = MARKS[state]
  const nodes: Node[] = [
    make('span', { className: 'mark', role: 'img', ariaLabel: words }, mark),
    make('span', { className: state === 'waiting' ? 'waiting' : '' }, title),
    make('span', { className: 'figures' }, figures),
  ]
  if (state === 'running') {
    const known = share === undefined ? {} : { value: Math.min(1, share) }
    nodes.push(make('progress', { max: 1, ariaLabel: title, ...known }))
  }
  if (detail !== undefined) nodes.push(make('span', { className: 'detail' }, detail))
  return nodes
}
