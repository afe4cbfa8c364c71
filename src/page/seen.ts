import { bytesToHex } from '@noble/hashes/utils.js'
import { bytesText } from '../text/units.ts'
import { make } from './elements.ts'

/** Something that went over the line. */
export interface Exchanged {
  readonly what: string
  readonly direction: 'to the server' | 'from the server'
  readonly bytes: number
  /** What the server can make of it. */
  readonly meaning: string
}

const SHOWN_BYTES = 48

/** Shows all that went over the line, and the beginning of the encrypted picture as the server has it. */
export function showSeen(container: HTMLElement, exchanged: readonly Exchanged[], sample: Uint8Array): void {
  const rows = exchanged.map(({ what, direction, bytes, meaning }) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, what, ' ', make('span', { className: 'direction' }, direction)),
      make('td', { className: 'number' }, bytesText(bytes)),
      make('td', {}, meaning),
    ),
  )
  const heads = ['What', 'Size', 'What the server can read in it']
  const table = make(
    'table',
    {},
    make('thead', {}, make('tr', {}, ...heads.map((head) => make('th', { scope: 'col' }, head)))),
    make('tbody', {}, ...rows),
  )
  container.replaceChildren(
    make(
      'div',
      { className: 'table', tabIndex: 0, role: 'region', ariaLabel: 'What went over the line' },
      table,
    ),
    make(
      'p',
      {},
      'The encrypted picture begins with ',
      make('code', {}, bytesToHex(sample.subarray(0, SHOWN_BYTES)).replaceAll(/(..)/g, '$1 ').trim()),
      '. Without the key these bytes could be any picture: their number does not depend on it, and the same picture gives ' +
        'other bytes each time.',
    ),
  )
}
