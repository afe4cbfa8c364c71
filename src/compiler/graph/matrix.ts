/** Rows and columns of the block of results that one pass over the inner dimension computes in registers. */
const BLOCK = 4

/** Shape of a product: [rows, inner] times [inner, columns]. */
export interface ProductShape {
  readonly rows: number
  readonly inner: number
  readonly columns: number
}

/**
 * The product of two matrices in double precision, row-major.
 *
 * @param a [rows, inner]
 * @param b [inner, columns]
 * @returns [rows, columns]
 */
export function multiplyMatrices(a: Float64Array, b: Float64Array, shape: ProductShape): Float64Array {
  const { rows, inner, columns } = shape
  const out = new Float64Array(rows * columns)
  // The columns of b that a block needs, interleaved, so that the innermost loop reads adjacent values.
  const panel = new Float64Array(inner * BLOCK)
  for (let column = 0; column < columns; column += BLOCK) {
    const width = Math.min(BLOCK, columns - column)
    fillPanel(panel, b, shape, column, width)
    for (let row = 0; row < rows; row += BLOCK) {
      if (width === BLOCK && rows - row >= BLOCK) wholeBlock(out, a, panel, shape, row, column)
      else partOfBlock(out, a, panel, shape, [row, Math.min(rows, row + BLOCK)], [column, column + width])
    }
  }
  return out
}

function fillPanel(
  panel: Float64Array,
  b: Float64Array,
  { inner, columns }: ProductShape,
  column: number,
  width: number,
): void {
  for (let i = 0; i < inner; i++) {
    for (let j = 0; j < width; j++) panel[i * BLOCK + j] = b[i * columns + column + j]
  }
}

type Span = readonly [from: number, to: number]

function partOfBlock(
  out: Float64Array,
  a: Float64Array,
  panel: Float64Array,
  { inner, columns }: ProductShape,
  [top, bottom]: Span,
  [left, right]: Span,
): void {
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      let sum = 0
      for (let i = 0; i < inner; i++) sum += a[row * inner + i] * panel[i * BLOCK + column - left]
      out[row * columns + column] = sum
    }
  }
}

/** Computes sixteen sums in registers. Each value that is loaded takes part in four products. */
function wholeBlock(
  out: Float64Array,
  a: Float64Array,
  panel: Float64Array,
  { inner, columns }: ProductShape,
  row: number,
  column: number,
): void {
  let c00 = 0
  let c01 = 0
  let c02 = 0
  let c03 = 0
  let c10 = 0
  let c11 = 0
  let c12 = 0
  let c13 = 0
  let c20 = 0
  let c21 = 0
  let c22 = 0
  let c23 = 0
  let c30 = 0
  let c31 = 0
  let c32 = 0
  let c33 = 0
  const a0 = row * inner
  const a1 = a0 + inner
  const a2 = a1 + inner
  const a3 = a2 + inner
  for (let i = 0, at = 0; i < inner; i++, at += BLOCK) {
    const b0 = panel[at]
    const b1 = panel[at + 1]
    const b2 = panel[at + 2]
    const b3 = panel[at + 3]
    const x0 = a[a0 + i]
    c00 += x0 * b0
    c01 += x0 * b1
    c02 += x0 * b2
    c03 += x0 * b3
    const x1 = a[a1 + i]
    c10 += x1 * b0
    c11 += x1 * b1
    c12 += x1 * b2
    c13 += x1 * b3
    const x2 = a[a2 + i]
    c20 += x2 * b0
    c21 += x2 * b1
    c22 += x2 * b2
    c23 += x2 * b3
    const x3 = a[a3 + i]
    c30 += x3 * b0
    c31 += x3 * b1
    c32 += x3 * b2
    c33 += x3 * b3
  }
  const o0 = row * columns + column
  const o1 = o0 + columns
  const o2 = o1 + columns
  const o3 = o2 + columns
  out[o0] = c00
  out[o0 + 1] = c01
  out[o0 + 2] = c02
  out[o0 + 3] = c03
  out[o1] = c10
  out[o1 + 1] = c11
  out[o1 + 2] = c12
  out[o1 + 3] = c13
  out[o2] = c20
  out[o2 + 1] = c21
  out[o2 + 2] = c22
  out[o2 + 3] = c23
  out[o3] = c30
  out[o3 + 1] = c31
  out[o3 + 2] = c32
  out[o3 + 3] = c33
}

/** @param a [rows, columns] @returns [columns, rows] */
export function transpose(a: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(a.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = a[row * columns + column]
  }
  return out
}
