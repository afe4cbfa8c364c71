/**
 * Whether a model can be served under the name: it becomes a part of URLs, where `.` and `..` are not names
 * but places.
 */
export const isModelName = (name: string): boolean =>
  /^[A-Za-z0-9._-]{1,128}$/.test(name) && name !== '.' && name !== '..'

/** The rule for names, for messages. */
export const MODEL_NAME_RULE = '1 to 128 letters, digits, dots, hyphens and underscores, and neither . nor ..'
