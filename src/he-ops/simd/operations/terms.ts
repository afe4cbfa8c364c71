/** The terms of a sum, as the `dot` kernels take them. */
export interface TermTable {
  /** Address of the table of block terms, three words each; any number where there are none. */
  readonly blockTerms: number
  readonly blockCount: number
  /** Address of the table of vector terms, two words each; any number where there are none. */
  readonly vectorTerms: number
  readonly vectorCount: number
}
