/** Whether a name can be served: it becomes a part of URLs. */
export const isModelName = (name: string): boolean => /^[A-Za-z0-9._-]{1,128}$/.test(name)

/** The rule for names, for messages. */
export const MODEL_NAME_RULE = '1 to 128 letters, digits, dots, hyphens and underscores'
