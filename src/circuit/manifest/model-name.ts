/** Whether a model of that name can be served: it is part of URLs. */
export const isModelName = (name: string): boolean => /^[A-Za-z0-9._-]{1,128}$/.test(name)

/** What a name is made of, for messages. */
export const MODEL_NAME_RULE = '1 to 128 letters, digits, dots, hyphens and underscores'
