import { BYTES_MEDIA_TYPE, CONTENT_TYPE, JSON_MEDIA_TYPE } from '../../wire/protocol/index.ts'
import { HttpError } from '../problems/http-error.ts'
import type { App } from '../services.ts'

/**
 * Refuses bodies of another media type than the route takes, and compressed ones. A body without a media type
 * is taken as bytes (RFC 9110, 8.3), where the route takes bytes: some clients of the Open Inference Protocol
 * name none.
 */
export function useMediaTypes(app: App): void {
  // Before the body is read, and after the rate limit.
  app.addHook('preParsing', async ({ routeOptions: { config, schema }, headers }) => {
    const taken = config?.binaryBody ? BYTES_MEDIA_TYPE : schema?.body ? JSON_MEDIA_TYPE : undefined
    if (taken === undefined) return
    if (taken === BYTES_MEDIA_TYPE) headers[CONTENT_TYPE] ??= taken
    const { [CONTENT_TYPE]: sent, 'content-length': length, 'transfer-encoding': chunked } = headers
    if (hasCoding(headers['content-encoding'])) throw coded()
    const hasBody = chunked !== undefined || Number(length ?? 0) > 0
    if (sent === undefined ? !hasBody : mediaType(sent) === taken) return
    const found = sent === undefined ? 'A body without a content type' : 'The content type of the body'
    throw new HttpError(415, 'CONFIG_INVALID', `${found} is not taken here; send ${taken}`, {
      accepted: taken,
    })
  })
}

const hasCoding = (header: string | undefined): boolean =>
  header !== undefined && !/^(\s*identity\s*)?$/i.test(header)

const coded = (): HttpError =>
  new HttpError(415, 'CONFIG_INVALID', 'A body with a Content-Encoding is not taken here; send it as it is', {
    accepted: 'identity',
  })

/** The media type without parameters. */
const mediaType = (header: string): string => header.split(';')[0].trim().toLowerCase()
