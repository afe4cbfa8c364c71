/** Media type of frames, and of JSON followed by a frame. */
export const BYTES_MEDIA_TYPE = 'application/octet-stream'

/** Media type of all other bodies. */
export const JSON_MEDIA_TYPE = 'application/json'

/** Media type of errors (RFC 9457). */
export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

/** Media type of server-sent events. */
export const EVENTS_MEDIA_TYPE = 'text/event-stream'
