import type { FastifyReply } from 'fastify'

/**
 * Calls back once when the connection of an answer is closed or has it all, at once if it is closed already.
 */
export function whenClosed({ raw }: FastifyReply, callback: () => void): void {
  if (raw.closed || raw.destroyed) callback()
  else raw.once('close', callback)
}
