import { PolyVeilError } from '../../errors/index.ts'

/** A record of a CSV file. */
export interface CsvRecord {
  /** Line in which it begins, from 1 on. */
  readonly line: number
  readonly fields: readonly string[]
}

const QUOTED = /"([^"]*(?:""[^"]*)*)"/y
const PLAIN = /[^",\r\n]*/y
const SEPARATOR = /,|\r?\n|$/y

/**
 * Parses CSV by RFC 4180: fields between commas, records between line breaks (CRLF or LF), and fields with
 * quotes, commas or line breaks in double quotes. A line break at the end is optional.
 *
 * @throws CONFIG_INVALID with the line, where a quote stands inside a field without quotes or text behind one
 *   with quotes, or a quoted field has no end
 */
export function parseCsv(text: string): CsvRecord[] {
  const records: CsvRecord[] = []
  let place = 0
  let line = 1
  let record: { line: number; fields: string[] } = { line, fields: [] }
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = place
    const match = pattern.exec(text)
    if (match) {
      place = pattern.lastIndex
      line += match[0].split('\n').length - 1
    }
    return match
  }
  while (place < text.length || record.fields.length > 0) {
    const quoted = take(QUOTED)
    record.fields.push(quoted ? quoted[1].replaceAll('""', '"') : take(PLAIN)![0])
    const separator = take(SEPARATOR)
    if (separator === null) throw misquoted(line)
    if (separator[0] === ',') continue
    records.push(record)
    record = { line, fields: [] }
  }
  return records
}

const misquoted = (line: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `line ${line}: the quotes of a field are wrong`,
    { line },
    {
      remedy:
        'Put a field with quotes, commas or line breaks into double quotes as a whole, and double the quotes in it (RFC 4180).',
    },
  )
