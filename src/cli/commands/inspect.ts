import { resolve } from 'node:path'
import type { Command } from 'commander'
import { printable } from '../../errors/index.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { loadCircuit } from '../input/circuit.ts'
import type { PlanSubject } from '../output/plan-page/page.ts'
import { planText } from '../output/plan-text.ts'
import { writeWhole } from '../output/write-file.ts'
import { UsageError } from '../usage-error.ts'

interface InspectOptions {
  readonly text?: boolean
  readonly html?: string
}

/** `polyveil inspect` */
export const inspectCommand = (): Command =>
  command('inspect', 'show the plan of a circuit, layer by layer')
    .argument('<file>', 'the circuit, FILE.pvc')
    .option('--text', 'the circuit itself, one line for each operation')
    .option('--html <file>', 'also write the plan as a page with charts, one file that needs no other')
    .action(act(inspect))

async function inspect(
  context: CommandContext,
  path: string,
  { text, html }: InspectOptions,
): Promise<Outcome> {
  checkPlace(path, html)
  const { circuit, digest } = await loadCircuit(path)
  const { planSubject } = await import('../output/plan-page/page.ts')
  const { circuitText } = await import('../../circuit/index.ts')
  const subject = planSubject(circuit, digest)
  const { model, manifest, plan } = subject
  const { preprocessing } = circuit.input
  const listing = text ? { text: circuitText(circuit) } : {}
  const page = html === undefined ? {} : { html }
  if (html !== undefined) await writePage(context, html, subject)
  return {
    document: { model, digest, manifest, preprocessing, plan, ...listing, ...page },
    text:
      listing.text ??
      `${printable(model)}, circuit ${digest.slice(0, 16)}\n\n${planText(plan, preprocessing)}`,
  }
}

/** @throws UsageError when the page would take the circuit's place */
function checkPlace(circuit: string, page: string | undefined): void {
  if (page === undefined || resolve(page) !== resolve(circuit)) return
  throw new UsageError(`--html ${page} would overwrite the circuit`)
}

/** Says so on stderr, since stdout has the plan or the circuit. */
async function writePage({ progress }: CommandContext, path: string, subject: PlanSubject): Promise<void> {
  const { planPage } = await import('../output/plan-page/page.ts')
  const bytes = new TextEncoder().encode(planPage(subject))
  await writeWhole(path, bytes)
  progress.note(`${path}: ${bytes.length} bytes`)
}
