import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import type { Test } from 'tap'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']

/** A name of this machine that browsers, unlike localhost, do not trust: its pages have no secure context. */
export const INSECURE_HOST = 'insecure.test'

// Chromium makes no requests of its own during tests.
const ARGUMENTS = [
  `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  // A camera that shows a test picture, which pages may use without asking.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** The Chromium of this machine: the one that CHROMIUM names, Debian's, or the first on the path. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM) return CHROMIUM
  const folders = ['/usr/bin', ...PATH.split(delimiter)]
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable)
}

/** Starts a headless Chromium with a new profile, until the end of the test. */
export async function launch(t: Test, executablePath: string): Promise<BrowserContext> {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-chromium-'))
  const context = await chromium.launchPersistentContext(directory, { executablePath, args: ARGUMENTS })
  t.teardown(async () => {
    await context.close()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  })
  return context
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
