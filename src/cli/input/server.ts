import type { Command } from 'commander'
import { UsageError } from '../usage-error.ts'

/** Options for requests to a server. */
export interface ServerOptions {
  /** As on the command line, `Name: value`. */
  readonly header?: readonly string[]
}

const HELP =
  "sent with every request to the server, 'Name: value'; may be given several times. A token for the service belongs " +
  'in the environment variable POLYVEIL_TOKEN'

export const withHeaders = (command: Command): Command =>
  command.option('--header <header>', HELP, (text, before: readonly string[] = []) => [...before, text])

/**
 * Parses headers. Commander does not call this as a parser, because its errors repeat the argument, which may
 * be a secret.
 *
 * @throws UsageError when one is not of the form `Name: value`, or two have one name
 */
export function headersOf({ header = [] }: ServerOptions): Readonly<Record<string, string>> {
  const headers = new Map<string, string>()
  for (const text of header) {
    const match = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(text)
    if (!match) throw new UsageError("A --header must be 'Name: value'")
    const name = match[1].toLowerCase()
    if (headers.has(name)) throw new UsageError(`The header ${name} is given twice`)
    headers.set(name, match[2])
  }
  return Object.fromEntries(headers.has('authorization') ? headers : withToken(headers))
}

/** The environment variable of the token: a token given as a flag would show in the list of processes. */
const TOKEN = 'POLYVEIL_TOKEN'

function withToken(headers: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const token = process.env[TOKEN]
  return token ? new Map([...headers, ['authorization', `Bearer ${token}`]]) : headers
}

/** An address without credentials, for output. An address that has none stays unchanged. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return url.replace(/\/\/[^/]*@/, '//')
  const shown = new URL(url)
  if (shown.username === '' && shown.password === '') return url
  shown.username = ''
  shown.password = ''
  return shown.href
}
