import type { Classification } from '../client/local/answer.ts'
import { make } from './elements.ts'

const SHOWN = 5

/** Shows the best classes as bars. */
export function showScores(container: HTMLElement, best: readonly Classification[]): void {
  const rows = best.slice(0, SHOWN).map(({ label, score }, i) => {
    const percent = percentText(score)
    const bar = make('progress', { max: 1, value: score, ariaLabel: `${label}: ${percent}` })
    return make(
      'li',
      { className: i === 0 ? 'best' : '' },
      make('span', { title: label }, label),
      bar,
      make('span', { className: 'number', ariaHidden: 'true' }, percent),
    )
  })
  container.replaceChildren(make('ol', { className: 'scores' }, ...rows))
}

/** A score that is rounded never says that the others are impossible. */
function percentText(score: number): string {
  if (score > 0.999) return '> 99.9 %'
  if (score < 0.001) return '< 0.1 %'
  return `${(100 * score).toFixed(1)} %`
}
