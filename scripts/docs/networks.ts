/** Facts of measured networks that the results do not contain: the input and the number of products. */
export const NETWORKS: Readonly<Record<string, { readonly input: string; readonly products: number }>> = {
  digits: { input: '56 x 56', products: 3 },
  clothing: { input: '56 x 56', products: 3 },
  clothing_lr: { input: '28 x 28', products: 7 },
  clothing_six: { input: '56 x 56', products: 13 },
  t224: { input: '224 x 224', products: 73 },
  'apolynext-t': { input: '224 x 224', products: 145 },
  'monet-t': { input: '224 x 224', products: 68 },
  'dttn-s': { input: '224 x 224', products: 44 },
}
