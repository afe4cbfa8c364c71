import { z } from 'zod'
import { MAX_KEY_SET_ID } from '../../wire/protocol/index.ts'

export { bytesResponse, emptyResponse, jsonHeader, responses } from '../openapi/response-schemas.ts'

/** The id of a key set in a header. It is a secret, which errors do not repeat. */
export const keySetId = z.string().min(1).max(MAX_KEY_SET_ID).meta({ format: 'password' })

/**
 * A whole number in a header or a path: decimal digits without sign and leading zeros, since `Number` reads
 * other texts too, such as 0x10, 1e3 and the empty one.
 */
export const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .regex(/^(0|[1-9][0-9]{0,15})$/, rangeRule(least, most))
    .transform(Number)
    .refine((number) => number >= least && number <= most, rangeRule(least, most))

const rangeRule = (least: number, most: number): string =>
  `must be a whole number from ${least} to ${most}, in decimal digits without leading zeros`

export const modelParams = z.object({ model: z.string().max(128).describe('The name of a served model') })

/** The same below `/versions/{version}`. */
export const versionParams = modelParams.extend({
  version: z.string().max(128).describe('A version that the metadata of the model lists'),
})
