import { z } from 'zod'
import {
  ERROR_CODES,
  type ErrorCodeName,
  type ErrorFacts,
  PolyVeilError,
  printable,
} from '../../errors/index.ts'

// Messages and facts are shown to people: what the server writes must not command their terminals.
const text = (length: number) => z.string().max(length).transform(printable)
const factSchema = z.union([text(1000), z.number(), z.boolean(), z.array(z.union([text(1000), z.number()]))])
const problemSchema = z.looseObject({ code: z.string(), detail: text(2000) })

// Members of the problem document that are presentation and no facts.
const PRESENTATION = new Set(['type', 'title', 'status', 'detail', 'code', 'error', 'remedy', 'instance'])

/** The error that a server's answer stands for: its problem document (RFC 9457), or what the status alone says. */
export function problemError(status: number, body: Uint8Array): PolyVeilError {
  const parsed = problemSchema.safeParse(parseJson(body))
  if (!parsed.success || !Object.hasOwn(ERROR_CODES, parsed.data.code)) {
    return new PolyVeilError(codeOf(status), `The server answered with status ${status}`, { status })
  }
  const { code, detail } = parsed.data
  return new PolyVeilError(code as ErrorCodeName, detail, factsOf(parsed.data))
}

function factsOf(problem: Readonly<Record<string, unknown>>): ErrorFacts {
  const facts = Object.entries(problem)
    .filter(([name]) => !PRESENTATION.has(name))
    .map(([name, value]) => [printable(name), factSchema.safeParse(value).data] as const)
  return Object.fromEntries(facts.filter(([, value]) => value !== undefined))
}

/** Proxies in between answer without a problem document. */
function codeOf(status: number): ErrorCodeName {
  switch (status) {
    case 401:
      return 'UNAUTHENTICATED'
    case 403:
      return 'FORBIDDEN'
    case 413:
      return 'TOO_LARGE'
    case 429:
    case 502:
    case 503:
    case 504:
      return 'TOO_BUSY'
    default:
      return 'INTERNAL'
  }
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return undefined
  }
}
