import { Socket } from 'node:net'
import type { App } from '../services.ts'

/**
 * Closes connections whose clients do not read their answers: those on which nothing moves for too long once
 * an answer has begun. Without this limit the answer would take memory, and the request its place, until
 * the client goes. A connection that waits for an answer has no limit here.
 */
export function closeStalledReaders(app: App, milliseconds: number): void {
  app.addHook('onSend', async (_request, reply) => {
    const { raw } = reply
    const { socket } = raw
    // Requests that are injected have no connection.
    if (!(socket instanceof Socket)) return
    socket.setTimeout(milliseconds)
    raw.once('finish', () => {
      // Node has set the limit of idle connections by now, unless another answer follows on this one.
      if (socket.timeout === milliseconds) socket.setTimeout(0)
    })
  })
}
