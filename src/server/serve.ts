import closeWithGrace from 'close-with-grace'
import type { ServerConfig } from './config.ts'
import { type RunningProcess, type RunningServer, startServer, startWorker } from './start.ts'

/** Time to close connections and to stop workers, after running inferences had theirs. */
const CLOSING_MILLISECONDS = 15_000

/**
 * Runs `startServer` as the only task of this process, with a graceful end on SIGTERM, SIGINT and uncaught
 * errors. SIGHUP looks for new, changed and removed circuits, and opens the audit log anew. At a terminal it
 * ends the service: there it means that the terminal is closed.
 */
export async function serve(config: ServerConfig): Promise<RunningServer> {
  return untilTold(() => startServer(config), config)
}

/** Runs `startWorker` as the only task of this process, which ends as in `serve`. */
export async function work(config: ServerConfig): Promise<RunningProcess> {
  return untilTold(() => startWorker(config), config)
}

/** Starts a process of the service, and closes it when this process is told to end. */
async function untilTold<Running extends RunningProcess>(
  start: () => Promise<Running>,
  { shutdownSeconds }: ServerConfig,
): Promise<Running> {
  const delay = shutdownSeconds * 1000 + CLOSING_MILLISECONDS
  const looksAtHangup = !process.stdin.isTTY
  let running: Running | undefined
  let isBehind = false
  const onHangup = (): void => {
    isBehind = running === undefined
    running?.reopenAuditLog()
    void running?.lookForModels()
  }
  const forgetHangup = (): void => void process.off('SIGHUP', onHangup)
  // Before the service runs, too: without a listener the signal would end the process.
  if (looksAtHangup) process.on('SIGHUP', onHangup)
  const started = await start().catch((error) => {
    forgetHangup()
    throw error
  })
  running = started
  if (isBehind) onHangup()
  const { log } = started.app
  const { uninstall } = closeWithGrace(
    { delay, logger: log, skip: looksAtHangup ? ['beforeExit', 'SIGHUP'] : ['beforeExit'] },
    async ({ err, signal }) => {
      if (err) log.fatal({ err }, 'The process ends by a fault')
      else log.info({ signal }, 'Closing')
      await started.close()
    },
  )
  const close = async (): Promise<void> => {
    uninstall()
    forgetHangup()
    await started.close()
  }
  return { ...started, close }
}
