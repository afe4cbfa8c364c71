import { printableJson, printableLines } from '../../errors/index.ts'

/** Prints a command's one JSON document. Numbers that JSON does not know become null. */
export function printDocument(document: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(document))}\n`)
}

export function printText(text: string): void {
  const safe = printableLines(text)
  process.stdout.write(safe.endsWith('\n') ? safe : `${safe}\n`)
}
