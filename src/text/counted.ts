/** 12345 is "12,345". */
export const countText = (count: number): string => count.toLocaleString('en')

/** "1 level", "2 levels". */
export const counted = (count: number, noun: string): string =>
  `${countText(count)} ${noun}${count === 1 ? '' : 's'}`
