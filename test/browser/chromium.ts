import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import type { Test } from 'tap'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

/**
 * A name of this machine that browsers do not trust as they trust localhost: its pages are in no secure
 * context.
 */
export const INSECURE_HOST = 'insecure.test'

// It works for the test alone, and calls nobody.
const ARGUMENTS = [
  `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * The Chromium of this machine: the one that CHROMIUM names, Debian's, or what has one of its names on the
 * path.
 */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM) return CHROMIUM
  const folders = ['/usr/bin', ...PATH.split(delimiter)]
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

/** Starts Chromium without a window, as a user who has never been anywhere; until the test's end. */
export async function launch(t: Test, executablePath: string): Promise<BrowserContext> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-chromium-'))
  const context = await chromium.launchPersistentContext(directory, { executablePath, args: ARGUMENTS })
  t.teardown(async () => {
    await context.close()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  })
  return context
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
