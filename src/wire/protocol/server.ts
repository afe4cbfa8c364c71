import * as z from 'zod'

/** The protocol extension that tells a PolyVeil server from other servers of the Open Inference Protocol. */
export const CKKS_EXTENSION = 'polyveil_ckks'
export const SERVER_EXTENSIONS = ['binary_tensor_data', CKKS_EXTENSION]

/** Answer of `GET /v2`. */
export const serverMetadataSchema = z
  .object({ name: z.string(), version: z.string(), extensions: z.array(z.string()) })
  .meta({ id: 'ServerMetadata' })
