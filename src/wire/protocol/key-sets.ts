import * as z from 'zod'

// As many elements as there can be keys in the largest set that the limits allow; the store's own limit is on
// bytes.
export const MAX_GALOIS_ELEMENTS = 4096

/** Body of `POST /v2/keys`. */
export const keySetAnnouncementSchema = z.strictObject({
  parametersDigest: z.string().max(64).describe('The digest of the encryption parameters'),
  bytes: z.int().positive().describe('The exact size of the key set'),
  galoisElements: z
    .array(z.int())
    .max(MAX_GALOIS_ELEMENTS)
    .describe('The Galois elements of its keys, ascending'),
})

/**
 * Clients store and show the expiry. A datetime may have any number of digits of a second, so its length is
 * bounded.
 */
const expirySchema = z.iso.datetime().max(40)

/** Answer of `POST /v2/keys`. */
export const keyUploadSchema = z
  .object({ id: z.string(), uploadOffset: z.int(), bytes: z.int(), expires: expirySchema })
  .meta({ id: 'KeyUpload' })

/** Answer of `PUT /v2/keys`. */
export const keyUploadProgressSchema = keyUploadSchema
  .extend({ complete: z.boolean(), digest: z.string().optional() })
  .meta({ id: 'KeyUploadProgress' })

/** Answer of `GET /v2/keys`. */
export const keySetSchema = keyUploadProgressSchema
  .extend({ parametersDigest: z.string(), galoisElements: z.array(z.int()) })
  .meta({ id: 'KeySet' })
