import t from 'tap'
import { printable, printableJson, printableLines } from '../../src/errors/index.ts'

const SHAPELESS = [0xad, 0x200b, 0x2060, 0x2800, 0x3164, 0xfeff, 0xfffa, 0xe0041, 0xe0100].map((code) =>
  String.fromCodePoint(code),
)
const CONTROLS = ['\u0007', '\u001b', '\u007f', '\u009b', '\u202e', '\u2066']

t.test('control characters and characters without a shape are removed', async (t) => {
  for (const character of [...SHAPELESS, ...CONTROLS]) {
    t.equal(printable(`a${character}b`), 'ab', character.codePointAt(0)!.toString(16))
    t.equal(printableLines(`a\nb${character}c\n`), 'a\nbc\n')
  }
  t.equal(printable('a\r\n\tb\u2028c'), 'a b c', 'breaks become spaces')
})

t.test('text that scripts and emoji need stays', async (t) => {
  for (const text of ['नमस्‍ते', 'می‌خواهم', '👩‍⚕️', 'größe 10 °', '\u0601']) {
    t.equal(printable(text), text)
    t.equal(printableJson(JSON.stringify(text)), JSON.stringify(text))
  }
})

t.test('JSON keeps its meaning and shows each unseen character as an escape', async (t) => {
  for (const character of [...SHAPELESS, ...CONTROLS, '\u2028']) {
    const json = printableJson(JSON.stringify(`a${character}b`))
    t.match(json, /^"a(\\u[0-9a-f]{4})+b"$/)
    t.equal(JSON.parse(json), `a${character}b`)
  }
})
