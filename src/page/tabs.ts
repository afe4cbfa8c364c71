/**
 * Tabs as the ARIA Authoring Practices describe them: arrow keys move between tabs, and only the chosen tab
 * is in the order of the tab key.
 */
export class Tabs {
  readonly #tabs: readonly HTMLElement[]
  readonly #onChange: (id: string) => void

  /** @param onChange called with the id of the tab that is chosen */
  constructor(list: HTMLElement, onChange: (id: string) => void) {
    this.#tabs = [...list.querySelectorAll<HTMLElement>('[role="tab"]')]
    this.#onChange = onChange
    for (const tab of this.#tabs) tab.addEventListener('click', () => this.choose(tab.id))
    list.addEventListener('keydown', (event) => this.#move(event))
  }

  /** Chooses a tab, and shows its panel. */
  choose(id: string): void {
    for (const tab of this.#tabs) {
      const isChosen = tab.id === id
      tab.ariaSelected = String(isChosen)
      tab.tabIndex = isChosen ? 0 : -1
      const panel = document.getElementById(tab.getAttribute('aria-controls') ?? '')
      if (panel) panel.hidden = !isChosen
    }
    this.#onChange(id)
  }

  /** Shows a tab, or takes it away. */
  offer(id: string, isOffered: boolean): void {
    for (const tab of this.#tabs) if (tab.id === id) tab.hidden = !isOffered
    const offered = this.#tabs.filter(({ hidden }) => !hidden)
    const chosen = this.#tabs.find(({ ariaSelected }) => ariaSelected === 'true')
    if (chosen?.hidden && offered.length > 0) this.choose(offered[0].id)
  }

  #move(event: KeyboardEvent): void {
    const offered = this.#tabs.filter(({ hidden }) => !hidden)
    const at = offered.indexOf(document.activeElement as HTMLElement)
    const last = offered.length - 1
    const targets: Readonly<Record<string, number>> = {
      ArrowRight: at === last ? 0 : at + 1,
      ArrowLeft: at === 0 ? last : at - 1,
      Home: 0,
      End: last,
    }
    const target = offered[targets[event.key] ?? -1]
    if (at < 0 || target === undefined) return
    event.preventDefault()
    target.focus()
    this.choose(target.id)
  }
}
