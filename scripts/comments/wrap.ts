/** A line that has only a comment: the text before its words, and the words. */
const COMMENT = /^(\s*(?:\/\/|\/\*\*|\*(?!\/)) ?)(.*)$/
/** Words that begin a new paragraph: tags and items of lists. */
const BEGINS_PARAGRAPH = /^(@\w|- |\d+\. |\||[*`]{3}|#)/

/**
 * The line numbers, from 1 on, of comment lines wider than `width`. A single word that is too long cannot be
 * wrapped.
 */
export function overlong(text: string, width: number): number[] {
  return text.split('\n').flatMap((line, i) => {
    const [, , words] = COMMENT.exec(line) ?? []
    return line.length > width && words?.trim().includes(' ') && !isTable(words) ? [i + 1] : []
  })
}

/** The text with every paragraph of comments rewrapped that has a line wider than `width`. */
export function rewrap(text: string, width: number): string {
  const lines = text.split('\n')
  const result: string[] = []
  for (let i = 0; i < lines.length; ) {
    const end = paragraphEnd(lines, i)
    const paragraph = lines.slice(i, end)
    const isWide = overlong(paragraph.join('\n'), width).length > 0
    result.push(...(isWide ? wrapped(paragraph, width) : paragraph))
    i = end
  }
  return result.join('\n')
}

/**
 * The index of the line after the paragraph that begins at `start`. A line of code is a paragraph of its own.
 */
function paragraphEnd(lines: readonly string[], start: number): number {
  const first = COMMENT.exec(lines[start])
  if (!first) return start + 1
  const [, prefix, words] = first
  if (words.trim() === '' || isTable(words)) return start + 1
  let end = start + 1
  for (; end < lines.length; end++) {
    const next = COMMENT.exec(lines[end])
    if (!next || !continues(prefix, next[1])) break
    if (next[2].trim() === '' || isTable(next[2]) || BEGINS_PARAGRAPH.test(next[2].trim())) break
  }
  return end
}

/**
 * Whether two lines belong to one comment. The first line of a docstring begins with two stars, the others
 * with one.
 */
const continues = (first: string, next: string): boolean =>
  first.includes('//') ? next.includes('//') : !next.includes('//') && !next.includes('/**')

/** Whether a line has columns that were aligned by hand. */
const isTable = (words: string): boolean => / {2,}\S/.test(words.trim())

function wrapped(paragraph: readonly string[], width: number): string[] {
  const [, prefix, first] = COMMENT.exec(paragraph[0])!
  const closes = / ?\*\/$/.test(paragraph.at(-1)!)
  const words = paragraph
    .map((line) => COMMENT.exec(line)![2].replace(/\s*\*\/$/, ''))
    .join(' ')
    .split(/\s+/)
    .filter((word) => word !== '')
  const indent = prefix.match(/^\s*/)![0]
  const isDoc = prefix.includes('/**')
  const line = prefix.includes('//') ? `${indent}// ` : isDoc ? `${indent} * ` : `${indent}* `
  // Continued lines of a tag or of a list's item are indented.
  const hanging = /^(@(param|returns|throws)\b|- )/.test(first) ? '  ' : ''
  const bodies = filled(words, width - line.length, hanging)
  if (isDoc && closes) return [`${indent}/**`, ...bodies.map((body) => line + body), `${indent} */`]
  const head = isDoc ? [`${indent}/**`] : []
  const tail = closes ? [`${indent}*/`] : []
  return [...head, ...bodies.map((body) => line + body), ...tail]
}

function filled(words: readonly string[], width: number, hanging: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of words) {
    if (line !== '' && `${line} ${word}`.length > width) {
      lines.push(line)
      line = hanging + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
