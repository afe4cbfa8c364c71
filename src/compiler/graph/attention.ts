import { multiplyMatrices, transpose } from './matrix.ts'

// The two products of attention, head by head. Query, key and value are [heads * d, T], scores are [heads *
// T, T]: row h * T + u has the scores of key u for all queries. The gradients of each product are the other
// one.

/** Sum over the channels of each head of query[c, t] * key[c, u], as [heads * T, T]. @param area T */
export const headProducts = (
  query: Float64Array,
  key: Float64Array,
  heads: number,
  area: number,
): Float64Array =>
  eachHead(heads, area * area, (head) => {
    const [q, k] = [query, key].map((x) => part(x, head, heads))
    const inner = q.length / area
    return multiplyMatrices(transpose(k, inner, area), q, { rows: area, inner, columns: area })
  })

/** Sum over u of scores[u, t] * value[c, u], as [heads * d, T]. @param area T */
export const weightedValues = (
  scores: Float64Array,
  value: Float64Array,
  heads: number,
  area: number,
): Float64Array =>
  eachHead(heads, value.length / heads, (head) => {
    const v = part(value, head, heads)
    return multiplyMatrices(v, part(scores, head, heads), {
      rows: v.length / area,
      inner: area,
      columns: area,
    })
  })

/** Scores with queries and keys in each other's places. @param area T */
export const exchangedScores = (scores: Float64Array, heads: number, area: number): Float64Array =>
  eachHead(heads, area * area, (head) => transpose(part(scores, head, heads), area, area))

const part = (x: Float64Array, head: number, heads: number): Float64Array => {
  const size = x.length / heads
  return x.subarray(head * size, (head + 1) * size)
}

function eachHead(heads: number, size: number, make: (head: number) => Float64Array): Float64Array {
  const out = new Float64Array(heads * size)
  for (let head = 0; head < heads; head++) out.set(make(head), head * size)
  return out
}
