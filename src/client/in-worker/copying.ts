import { PolyVeilError } from '../../errors/index.ts'

/**
 * Posts a message to a Worker.
 *
 * @throws CONFIG_INVALID when the message cannot be copied to another thread
 */
export function copying(post: () => void): void {
  try {
    post()
  } catch (cause) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'An argument cannot be copied to the Web Worker of the connection',
      {},
      {
        cause,
        remedy:
          'Give images as files, bytes, decoded images or tensors, no ImageBitmap that was closed, and no functions, ' +
          'promises or addresses.',
      },
    )
  }
}
