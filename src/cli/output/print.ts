import { printableJson, printableLines } from '../../errors/index.ts'

/** Prints a command's JSON document. NaN and infinities become null. */
export function printDocument(document: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(document))}\n`)
}

export function printText(text: string): void {
  const safe = printableLines(text)
  process.stdout.write(safe.endsWith('\n') ? safe : `${safe}\n`)
}
