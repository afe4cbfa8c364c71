import { stylesOf, withoutStyles } from './layers.ts'

/**
 * Forbids the tab to load or run anything. It also has the policy of this page, and that of the plan itself.
 */
const POLICY = `<!doctype html><meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'">`

/**
 * Opens the page of a plan in a new tab, for services with tokens: browsers send no token when they follow a
 * link.
 *
 * @param html the page, which the service has sent
 * @throws DOMException `NoTab` when the browser opens none
 */
export function openPlan(html: string): void {
  const tab = window.open('', '_blank')
  if (tab === null) throw new DOMException('The browser opens no tab', 'NoTab')
  tab.opener = null
  // This gives the document the address of this page, so that its links to its own parts work.
  tab.document.open()
  tab.document.write(POLICY + withoutStyles(html))
  tab.document.close()
  const styles = new (tab as Window & typeof globalThis).CSSStyleSheet()
  styles.replaceSync(stylesOf(html))
  tab.document.adoptedStyleSheets = [styles]
}
