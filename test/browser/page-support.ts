import type { BrowserContext, Page } from 'playwright-core'
import type { Test } from 'tap'
import type { Service } from '../cli/service.ts'

// Steps of tests with the page of the service.

/** Opens the page, does something with it, and checks that it neither complained nor asked others. */
export async function onPage(
  t: Test,
  context: BrowserContext,
  { url }: Service,
  body: (page: Page) => Promise<void>,
): Promise<void> {
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (message.type() !== 'error' || /Failed to load resource/.test(message.text())) return
    complaints.push(message.text())
  })
  const foreign: string[] = []
  page.on('request', (request) => {
    const address = request.url()
    if (!address.startsWith(url) && !address.startsWith('blob:')) foreign.push(address)
  })
  await page.goto(url)
  await page.locator('#keys-text', { hasText: /keys/i }).waitFor()
  try {
    await body(page)
  } finally {
    await page.close()
  }
  t.strictSame(complaints, [], 'the page reports no errors')
  t.strictSame(foreign, [], 'the page asks its own service alone')
}

export async function sample(page: Page, label: string): Promise<void> {
  await page.click('#tab-samples')
  await page.locator('#samples button', { hasText: label }).click()
}

/** Clicks the button, and waits for the line that names the answer. */
export async function answered(page: Page): Promise<string> {
  await page.locator('#classify:enabled').click()
  const done = page.locator('#status', { hasText: 'Answered' })
  const failed = page.locator('#trouble:visible')
  await done.or(failed).first().waitFor()
  return (await done.isVisible()) ? (await done.textContent())! : `${await failed.textContent()}`
}

export async function trouble(page: Page): Promise<string> {
  await page.locator('#trouble:visible').waitFor()
  return (await page.locator('#trouble').textContent())!
}
