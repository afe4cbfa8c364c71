/** Longest JSON document at the beginning of a binary body, in bytes. */
export const MAX_JSON_HEADER_BYTES = 64 * 2 ** 10

/** Largest part of a key set that a server takes in one request, in bytes. */
export const MAX_PART_BYTES = 16 * 2 ** 20

/** Longest id of a key set, in characters. */
export const MAX_KEY_SET_ID = 128
