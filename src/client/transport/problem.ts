import * as z from 'zod'
import {
  ERROR_CODES,
  type ErrorCodeName,
  type ErrorFacts,
  PolyVeilError,
  printable,
} from '../../errors/index.ts'
import { PRESENTATION_MEMBERS } from '../../wire/protocol/index.ts'
import { retryAfterSeconds } from './retry.ts'

// Messages and facts are shown in terminals, so control characters of the server are removed.
const text = (length: number) => z.string().max(length).transform(printable)
const factSchema = z.union([text(1000), z.number(), z.boolean(), z.array(z.union([text(1000), z.number()]))])
const problemSchema = z.looseObject({
  code: z.string(),
  detail: text(2000),
  remedy: text(1000).optional().catch(undefined),
})

/**
 * The error in a PolyVeil server's problem document (RFC 9457); undefined when the body is another document,
 * such as a proxy's. Message and remedy name the server as their author, so that its words are not taken for
 * the program's.
 *
 * @param headers of the answer; `Retry-After` becomes the fact `retryAfter`
 */
export function problemError(body: Uint8Array, headers: Headers): PolyVeilError | undefined {
  const parsed = problemSchema.safeParse(parseJson(body))
  if (!parsed.success || !Object.hasOwn(ERROR_CODES, parsed.data.code)) return undefined
  const { code, detail, remedy } = parsed.data
  const retryAfter = retryAfterSeconds(headers)
  const facts = { ...factsOf(parsed.data), ...(retryAfter !== undefined && { retryAfter }) }
  return new PolyVeilError(code as ErrorCodeName, `The server says: ${detail}`, facts, {
    remedy: remedy && `The server's advice: ${remedy}`,
  })
}

function factsOf(problem: Readonly<Record<string, unknown>>): ErrorFacts {
  const facts = Object.entries(problem)
    .filter(([name]) => !PRESENTATION_MEMBERS.has(name))
    .map(([name, value]) => [printable(name), factSchema.safeParse(value).data] as const)
  return Object.fromEntries(facts.filter(([, value]) => value !== undefined))
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(body))
  } catch {
    return undefined
  }
}
