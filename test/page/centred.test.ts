import t from 'tap'
import { centred, type Grey } from '../../src/page/centred.ts'

/** A drawing of another width than height, black but for these pixels. */
function drawing(width: number, height: number, drawn: (x: number, y: number) => number): Grey {
  const data = Uint8Array.from({ length: width * height }, (_, i) => drawn(i % width, Math.floor(i / width)))
  return { width, height, data }
}

const inBox = (x: number, y: number, [left, top, right, bottom]: readonly number[]): boolean =>
  x >= left && x < right && y >= top && y < bottom

/** Centre of mass, in pixels from the left and the top edge. */
function centreOf({ width, data }: Grey): [x: number, y: number] {
  const sum = data.reduce((total, value) => total + value, 0)
  const moment = (at: (i: number) => number): number =>
    data.reduce((total, value, i) => total + value * (at(i) + 0.5), 0) / sum
  return [moment((i) => i % width), moment((i) => Math.floor(i / width))]
}

/** Width and height of what is not black. */
function extent({ width, data }: Grey): [width: number, height: number] {
  const drawn = [...data.keys()].filter((i) => data[i] > 127)
  const size = (values: number[]): number => Math.max(...values) - Math.min(...values) + 1
  return [size(drawn.map((i) => i % width)), size(drawn.map((i) => Math.floor(i / width)))]
}

t.test('an empty drawing has no picture', async (t) => {
  t.equal(centred(drawing(30, 20, () => 0)), undefined)
})

t.test('the longer side of a drawing becomes 20 of 28 pixels, wherever it is', async (t) => {
  for (const box of [
    [10, 20, 50, 180],
    [240, 150, 280, 310],
  ]) {
    const picture = centred(drawing(300, 320, (x, y) => (inBox(x, y, box) ? 255 : 0)))!
    t.strictSame([picture.width, picture.height], [28, 28])
    t.strictSame(extent(picture), [6, 20], 'a tall bar of 40 x 160 stays tall')
  }
  const wide = centred(drawing(300, 320, (x, y) => (inBox(x, y, [10, 20, 170, 60]) ? 255 : 0)))!
  t.strictSame(extent(wide), [20, 6])
})

t.test('the centre of mass is in the middle, also where that of the box is not', async (t) => {
  // An L, whose foot is heavier than its stem.
  const shape = (x: number, y: number): number => {
    if (inBox(x, y, [40, 30, 60, 190])) return 90
    return inBox(x, y, [40, 150, 200, 190]) ? 250 : 0
  }
  const picture = centred(drawing(280, 260, shape))!
  const [x, y] = centreOf(picture)
  t.ok(Math.abs(x - 14) < 0.5 && Math.abs(y - 14) < 0.5, `${x}, ${y}`)
  t.ok(
    picture.data.some((value) => value > 80 && value < 100),
    'brightness is kept',
  )
  t.ok(picture.data.some((value) => value > 240))
})
