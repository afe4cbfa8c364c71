/** How one error code is presented: the HTTP status, the CLI's exit code, and the documentation's text. */
export interface ErrorCode {
  /** HTTP status that the service answers with. */
  readonly status: number
  /** Exit code of the command line: 2 usage, 3 bad input, 4 over budget, 5 server or network. */
  readonly exit: 2 | 3 | 4 | 5
  readonly cause: string
  readonly remedy: string
}

const code = (status: number, exit: ErrorCode['exit'], cause: string, remedy: string): ErrorCode =>
  Object.freeze({ status, exit, cause, remedy })

/** Every code that PolyVeil raises. `docs/errors.md` is checked against this table. */
export const ERROR_CODES = Object.freeze({
  CHECKPOINT_UNREADABLE: code(
    422,
    3,
    'The checkpoint is truncated, corrupt, or in no format that PolyVeil reads.',
    'Save it again with torch.save (zip format) or as safetensors.',
  ),
  CHECKPOINT_UNSAFE: code(
    422,
    3,
    'The pickle inside the checkpoint asks for something other than plain tensors.',
    'Save only the state dict: torch.save(model.state_dict(), path).',
  ),
  TENSOR_MISSING: code(
    422,
    3,
    'The checkpoint lacks a tensor that the architecture needs.',
    'Check that --arch or --config names the network the checkpoint was trained as.',
  ),
  TENSOR_SHAPE: code(
    422,
    3,
    'A tensor has another shape or datatype than the architecture prescribes.',
    'Check the config (widths, cells, input size) against the training run.',
  ),
  NOT_POLYNOMIAL: code(
    422,
    3,
    'The network contains an operation that is no polynomial, such as LayerNorm.',
    'Use the BatchNorm variant of the network; it is released beside the LayerNorm one.',
  ),
  CONFIG_INVALID: code(
    422,
    3,
    'A configuration, option or file is malformed or contradicts itself.',
    'Correct what the message names.',
  ),
  DEPTH_EXCEEDED: code(
    422,
    4,
    'The network needs more modulus bits than the ring offers at 128-bit security.',
    'Use a larger ring, fewer bits of precision, or a shallower network; the message says how much is missing.',
  ),
  SECURITY_TOO_LOW: code(
    422,
    3,
    'The parameters would give less than 128 bits of security.',
    'Use fewer or smaller primes, or a larger ring.',
  ),
  KEYS_MISSING: code(
    409,
    3,
    'The key set lacks keys that the circuit needs.',
    'Make and upload a key set for this model; the message lists the missing Galois elements.',
  ),
  KEY_STORE_UNAVAILABLE: code(
    507,
    3,
    'A browser has no room for the key store, or does not give the database.',
    'Allow the site to store data, and call again: a new key is made where the old one is lost. Or use a store in memory.',
  ),
  KEYS_EXPIRED: code(
    410,
    3,
    'The key set has expired or was deleted.',
    'Upload the key set again; the SDK does it by itself.',
  ),
  PARAMETERS_MISMATCH: code(
    409,
    3,
    'Keys, tensor or manifest belong to other encryption parameters.',
    'Fetch the manifest again and use keys made for its parameters.',
  ),
  TENSOR_MALFORMED: code(
    400,
    3,
    'Bytes that should be an encrypted tensor or a key set are not well-formed.',
    'Send the bytes exactly as the SDK made them; check that no proxy alters bodies.',
  ),
  TENSOR_OUT_OF_RANGE: code(
    422,
    3,
    'Values lie outside the range that the circuit supports, so no answer can be trusted.',
    'Check that the picture is of the kind that the network was trained on (--invert makes a dark one light), and how it was preprocessed; such an image gets no label, nor does one that shares its batch.',
  ),
  SCALE_MISMATCH: code(
    500,
    3,
    'Two operands of an encrypted operation have different scales.',
    'Compile the circuit again; if it persists, report it with the circuit digest.',
  ),
  LEVEL_EXHAUSTED: code(
    500,
    4,
    'An encrypted operation needs more modulus than is left.',
    'Compile the circuit again with more primes.',
  ),
  IMAGE_UNREADABLE: code(
    422,
    3,
    'The file is no image that can be decoded, is damaged, or is too large.',
    'Save it as a PNG or JPEG of 8 bits a sample; in Node install the optional package sharp.',
  ),
  MODEL_UNKNOWN: code(
    404,
    3,
    'No such model, architecture or bundled network.',
    'List them with `polyveil models` or GET /v2/models.',
  ),
  MODEL_UNAVAILABLE: code(
    503,
    5,
    'The server has the model, and cannot use its circuit file: it is damaged, or being replaced.',
    'Try again after Retry-After; if it persists, ask the operator of the server, whose log names the file and the fault.',
  ),
  INFERENCE_UNKNOWN: code(
    404,
    3,
    'No such inference; it may have ended or been cancelled.',
    'Start the inference again; `classify` does it by itself, twice at most.',
  ),
  TOO_BUSY: code(
    503,
    5,
    'The server has no room for more work now, or cannot write to its disk (status 507).',
    'Try again after Retry-After.',
  ),
  TOO_LARGE: code(
    413,
    3,
    'The body or file is larger than allowed. Or the model needs more memory than the server has (status 507) or than any engine can have.',
    'Send what the manifest describes; it states every size. For memory, raise engineMegabytes on the server, or compile for a smaller input, batch or precision.',
  ),
  UNAUTHENTICATED: code(401, 3, 'The request carries no valid credentials.', 'Send a valid token.'),
  FORBIDDEN: code(403, 3, 'The credentials do not allow this.', 'Use what belongs to your own tenant.'),
  WORKER_LOST: code(
    503,
    5,
    'The worker that executed the circuit ended unexpectedly. Or the Web Worker of a page did not start, or ended.',
    'Try again, as `classify` does by itself, twice at most; if it persists, give the server more memory. A page connects again.',
  ),
  SERVER_UNREACHABLE: code(
    502,
    5,
    'The server cannot be reached, the connection to it broke off, it stays silent, or a proxy has no answer from it.',
    'Check the address, that the server runs, and the network in between; then try again.',
  ),
  INTERNAL: code(
    500,
    5,
    'A fault inside PolyVeil.',
    'Report it with the request id; the server log has the details.',
  ),
})

export type ErrorCodeName = keyof typeof ERROR_CODES
