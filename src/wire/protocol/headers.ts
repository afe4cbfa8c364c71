// Names of HTTP headers, in lower case as Node and `Headers` give them.

export const CONTENT_TYPE = 'content-type'

/** Methods that a path has, in answers with status 405 (RFC 9110, 10.2.1). */
export const ALLOW_HEADER = 'allow'

/**
 * Length in bytes of the JSON document that a binary body begins with; the tensor's bytes follow directly
 * (Open Inference Protocol, binary tensor data extension).
 */
export const JSON_LENGTH_HEADER = 'inference-header-content-length'

/**
 * Id of the client's key set. The id is a secret, and proxies log paths: so requests carry it in a header.
 */
export const KEY_SET_HEADER = 'polyveil-key-set'

/** Offset in bytes at which an uploaded part begins in its key set. */
export const UPLOAD_OFFSET_HEADER = 'upload-offset'

/** Preference of RFC 7240. */
export const PREFER_HEADER = 'prefer'
/** Asks for an answer without a body: the client fetches the next output by a request of its own. */
export const PREFER_MINIMAL = 'return=minimal'
/** Preference for 202 at once: the answer is fetched later. */
export const PREFER_ASYNC = 'respond-async'

/** Seconds after which a refused request may be sent again (RFC 9110, 10.2.3). */
export const RETRY_AFTER_HEADER = 'retry-after'

/** The server's own id of a request, which its log names too. */
export const REQUEST_ID_HEADER = 'x-request-id'

/** Request headers of the protocol besides those of every HTTP request. */
export const PROTOCOL_HEADERS = [
  JSON_LENGTH_HEADER,
  KEY_SET_HEADER,
  PREFER_HEADER,
  UPLOAD_OFFSET_HEADER,
] as const
