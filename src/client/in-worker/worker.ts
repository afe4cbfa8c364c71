import '../../errors/require-node.ts'
import './no-eval.ts'

import { PolyVeilError } from '../../errors/index.ts'
import type { OpenMessage } from './protocol.ts'
import { serveConnection } from './serve-connection.ts'

// The script of the Web Worker that `connectInWorker` starts, and `polyveil/client/worker` for Workers of
// one's own. It takes the first message of each connection and leaves all others alone.

if (!('WorkerGlobalScope' in globalThis)) {
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'polyveil/client/worker is for the script of a Web Worker',
    {},
    { remedy: 'Import polyveil/client elsewhere.' },
  )
}

addEventListener('message', ({ data }: MessageEvent<Partial<OpenMessage> | undefined>) => {
  if (data?.kind === 'polyveil-connect') serveConnection(data as OpenMessage)
})
