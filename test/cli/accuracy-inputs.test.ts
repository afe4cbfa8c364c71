import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { classFinder } from '../../src/cli/input/class-names.ts'
import { parseCsv } from '../../src/cli/input/csv.ts'
import { imagesByFolder, imagesByList } from '../../src/cli/input/labelled-images.ts'

// Labelled images as `accuracy` reads them; no image is opened.

const LABELS = ['cat', 'Dog', 'crane', 'crane', 'owl']
const classOf = classFinder(LABELS, LABELS.length)

t.test('CSV is read by RFC 4180', async (t) => {
  const fields = (text: string): readonly (readonly string[])[] =>
    parseCsv(text).map((record) => record.fields)
  t.strictSame(fields(''), [])
  t.strictSame(fields('a,b\n'), [['a', 'b']])
  t.strictSame(fields('a,b\r\nc,'), [
    ['a', 'b'],
    ['c', ''],
  ])
  t.strictSame(fields('"a,b","say ""hi""",c d'), [['a,b', 'say "hi"', 'c d']])
  t.strictSame(fields('a\n\nb'), [['a'], [''], ['b']], 'an empty line is a record of one empty field')
  t.strictSame(fields('"",\n'), [['', '']])
  t.strictSame(
    parseCsv('"two\r\nlines",x\nnext,y').map(({ line }) => line),
    [1, 3],
    'records have the lines in which they begin',
  )
  const wrong: [text: string, line: number][] = [
    ['a"b,c', 1],
    ['"a"b,c', 1],
    ['x\n"open,c\n', 2],
    ['x\ny\n"', 3],
  ]
  for (const [text, line] of wrong) {
    t.throws(() => parseCsv(text), { code: 'CONFIG_INVALID', facts: { line } }, JSON.stringify(text))
  }
})

t.test('a class is found by its label, else but for case, else by its index', async (t) => {
  t.equal(classOf('cat'), 0)
  t.equal(classOf('DOG'), 1)
  t.equal(classOf('4'), 4)
  t.equal(classOf('02'), 2)
  const numbers = classFinder(['1', '0'], 2)
  t.equal(numbers('0'), 1, 'labels come before indices')
  t.equal(classFinder(['a', 'A'], 2)('A'), 1, 'equal labels come before those that are equal but for case')
  t.equal(classFinder([], 3)('2'), 2, 'a model without labels has indices')
  for (const name of ['bird', '5', '-1', '1.0', '', '1e0']) {
    t.throws(() => classOf(name), { code: 'CONFIG_INVALID', facts: { class: name, classes: 5 } }, name)
  }
  t.throws(() => classOf('crane'), { message: /several classes "crane", with the indices 2, 3/ })
  t.match(
    t.throws(() => classOf('bird')),
    { remedy: /indices from 0 to 4\. Its labels are cat, Dog, crane/ },
  )
})

/** Makes empty files, with their folders. */
function folderOf(t: Test, ...files: string[]): string {
  const folder = t.testdir({})
  for (const file of files) {
    mkdirSync(join(folder, file, '..'), { recursive: true })
    writeFileSync(join(folder, file), '')
  }
  return folder
}

t.test('images of folders have the class of their subfolder', async (t) => {
  const folder = folderOf(
    t,
    'cat/b.png',
    'cat/a.png',
    'dog/deep/c.jpg',
    '4/d',
    'README',
    '.git/x',
    'cat/.hidden',
  )
  symlinkSync(join(folder, 'cat'), join(folder, 'owl'))
  const { images, withoutClass } = await imagesByFolder(folder, classOf)
  t.strictSame(
    images.map(({ file, truth }) => [file, truth]),
    [
      ['4/d', 4],
      ['cat/a.png', 0],
      ['cat/b.png', 0],
      ['dog/deep/c.jpg', 1],
      ['owl/a.png', 4],
      ['owl/b.png', 4],
    ],
  )
  t.equal(images[1].path, join(folder, 'cat', 'a.png'))
  t.equal(withoutClass, 1)
})

t.test('folders that have no images by class are refused', async (t) => {
  const refuses = (folder: string, message: RegExp) =>
    t.rejects(imagesByFolder(folder, classOf), { code: 'CONFIG_INVALID', message })
  const folder = folderOf(t, 'cat/a.png', 'n01440764/b.png')
  await refuses(folder, /folder .*n01440764: The model has no class "n01440764"/)
  await refuses(join(folder, 'cat'), /has no subfolder with an image/)
  await refuses(join(folder, 'missing'), /missing does not exist/)
  await refuses(join(folder, 'cat', 'a.png'), /a\.png is a file/)
})

t.test('lists name files and classes, with or without a first line of names', async (t) => {
  const list = async (text: string | Uint8Array) => {
    const file = join(t.testdir({}), 'labels.csv')
    writeFileSync(file, text)
    return imagesByList('/images', file, classOf)
  }
  const plain = [
    { file: 'a, b.png', path: '/images/a, b.png', truth: 0 },
    { file: '/c.png', path: '/c.png', truth: 1 },
  ]
  t.strictSame(await list('"a, b.png",cat\r\n/c.png,dog\r\n'), { images: plain, withoutClass: 0 })
  const named = 'Label, source ,FILE\ncat,web,"a, b.png"\n1,,/c.png'
  t.strictSame((await list(`\ufeff${named}`)).images, plain, 'columns in any order, with others between them')
  for (const end of ['\n', '\r\n', '\r\n\r\n', ' \n\n']) {
    t.strictSame(
      (await list(`"a, b.png",cat\r\n/c.png,dog\r\n${end}`)).images,
      plain,
      'empty lines at the end',
    )
  }

  const refuses = (text: string | Uint8Array, message: RegExp) =>
    t.rejects(list(text), { code: 'CONFIG_INVALID', message })
  await refuses('', /labels\.csv has no image/)
  await refuses('file,label\n', /labels\.csv has no image/)
  await refuses('a.png,cat\nb.png\n', /labels\.csv, line 2: it has 1 field, not 2/)
  await refuses('a.png,cat\n\nb.png,dog\n', /line 2: it has 1 field, not 2/)
  await refuses('a.png,cat\r\n\r\nb.png,dog\r\n\r\n', /line 2: it has 1 field, not 2/)
  await refuses('\r\n\n', /labels\.csv has no image/)
  await refuses('file,label,more\na.png,cat\n', /line 2: it has 2 fields, not 3/)
  await refuses('a.png,cat\nb.png,bird\n', /line 2, b\.png: The model has no class "bird"/)
  await refuses('a.png,cat\nx/../a.png,dog\n', /line 2: x\/\.\.\/a\.png is named in line 1 already/)
  await refuses('a"b,cat\n', /labels\.csv: line 1: the quotes of a field are wrong/)
  await refuses(Uint8Array.of(0xe9, 0x2c, 0x31), /labels\.csv: The text is no UTF-8/)
  await t.rejects(imagesByList('/images', '/nowhere.csv', classOf), {
    message: /nowhere\.csv does not exist/,
  })
})
