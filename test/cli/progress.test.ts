import type { WriteStream } from 'node:tty'
import t from 'tap'
import { showing } from '../../src/cli/output/client-progress.ts'
import { createProgress } from '../../src/cli/output/progress.ts'
import { bytesText, secondsText } from '../../src/text/units.ts'

/** A stderr that keeps its output. */
function stream(isTTY: boolean): { written: () => string; stream: WriteStream } {
  const chunks: string[] = []
  const fake = { isTTY, write: (chunk: string) => chunks.push(chunk) }
  return { written: () => chunks.join(''), stream: fake as unknown as WriteStream }
}

/** The final state of the terminal: every `\r\x1b[K` clears the line. */
const shown = (text: string): string =>
  text
    .split('\n')
    .map((line) => line.split('\r\x1b[K').at(-1))
    .join('\n')

t.test('on a terminal, progress is one line that is redrawn and finally cleared', async (t) => {
  const { written, stream: terminal } = stream(true)
  const progress = createProgress(terminal, false)
  progress.step('encrypting')
  t.equal(shown(written()), 'encrypting')
  const start = performance.now()
  while (performance.now() - start < 100);
  progress.update(1, 4)
  t.equal(shown(written()), `encrypting ${'█'.repeat(6)}${'░'.repeat(18)} 25 %`)
  progress.update(2, 4)
  t.match(shown(written()), /25 %$/, 'the line is not redrawn more often than is visible')
  progress.note('something to keep')
  t.equal(shown(written()), 'something to keep\nencrypting')
  progress.step('decrypting')
  t.equal(shown(written()), 'something to keep\ndecrypting')
  progress.end()
  t.equal(shown(written()), 'something to keep\n')
})

t.test('without a terminal, progress is a line for each step', async (t) => {
  const { written, stream: file } = stream(false)
  const progress = createProgress(file, false)
  progress.step('encrypting')
  progress.update(1, 4)
  progress.step('decrypting')
  progress.end()
  t.equal(written(), 'encrypting\ndecrypting\n', 'short steps need no percentages')
})

t.test('while the server computes, its operations are shown, and no bytes', async (t) => {
  const updates: [number, number][] = []
  const steps: string[] = []
  const state = showing(
    {
      step: (label) => void steps.push(label),
      update: (done, total) => void updates.push([done, total]),
      note() {},
      warn() {},
      end() {},
    },
    ['a.png'],
  )
  const infer = { stage: 'infer', round: 0, images: [0], bytesDone: 0, bytesTotal: 900 } as const
  state({ ...infer, stage: 'encrypt', bytesDone: 900 })
  state({ ...infer, secondsLeft: 300 })
  state({ ...infer, operations: { done: 20, total: 50 } })
  state({ ...infer, secondsLeft: 200 })
  t.strictSame(steps, ['a.png: encrypting', 'a.png: waiting for the server'])
  t.strictSame(updates, [
    [900, 900],
    [20, 50],
  ])
})

t.test('--quiet prints no progress', async (t) => {
  for (const isTTY of [true, false]) {
    const { written, stream: any } = stream(isTTY)
    const progress = createProgress(any, true)
    progress.step('encrypting')
    progress.update(1, 2)
    progress.note('line')
    progress.end()
    t.equal(written(), '')
    progress.warn('warning')
    t.equal(written(), 'warning\n', 'warnings are printed')
  }
})

t.test('control characters in labels and lines do not reach the terminal', async (t) => {
  for (const isTTY of [true, false]) {
    const { written, stream: any } = stream(isTTY)
    const progress = createProgress(any, false)
    progress.step('a\u001b[2Jb')
    progress.note('c\u009b2J\u202ed\ne')
    progress.warn('\u001b]0;f\u0007')
    progress.end()
    const own = written().replaceAll('\r\x1b[K', '')
    t.notMatch(own, /(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
    t.match(own, /c2Jd e\n/)
  }
})

t.test('bytes and seconds are printed with units', async (t) => {
  const bytes = [0, 999, 1000, 1_234_567, 23_456_789, 999_900, 2.5e9, 7e13]
  t.strictSame(bytes.map(bytesText), [
    '0 B',
    '999 B',
    '1.00 kB',
    '1.23 MB',
    '23.5 MB',
    '1000 kB',
    '2.50 GB',
    '70000 GB',
  ])
  const seconds = [0, 0.0421, 0.9994, 1, 61.25]
  t.strictSame(seconds.map(secondsText), ['0.000 s', '0.042 s', '0.999 s', '1.0 s', '61.3 s'])
})
