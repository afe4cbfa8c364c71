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
  return untilTold(await startServer(config), config)
}

/** Runs `startWorker` as the only task of this process, which ends as in `serve`. */
export async function work(config: ServerConfig): Promise<RunningProcess> {
  return untilTold(await startWorker(config), config)
}

/** Closes a process of the service when this process is told to end. */
function untilTold<Running extends RunningProcess>(
  running: Running,
  { shutdownSeconds }: ServerConfig,
): Running {
  const { log } = running.app
  const delay = shutdownSeconds * 1000 + CLOSING_MILLISECONDS
  const looksAtHangup = !process.stdin.isTTY
  const onHangup = (): void => {
    running.reopenAuditLog()
    void running.lookForModels()
  }
  if (looksAtHangup) process.on('SIGHUP', onHangup)
  const { uninstall } = closeWithGrace(
    { delay, logger: log, skip: looksAtHangup ? ['beforeExit', 'SIGHUP'] : ['beforeExit'] },
    async ({ err, signal }) => {
      if (err) log.fatal({ err }, 'The process ends by a fault')
      else log.info({ signal }, 'Closing')
      await running.close()
    },
  )
  const close = async (): Promise<void> => {
    uninstall()
    process.off('SIGHUP', onHangup)
    await running.close()
  }
  return { ...running, close }
}
