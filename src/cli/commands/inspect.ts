import type { Command } from 'commander'
import { act, command, type Outcome, type Session } from '../command.ts'
import { loadCircuit } from '../input/circuit.ts'
import { planText } from '../output/plan-text.ts'
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
    .option('--html <file>', 'a page with charts (not available in this version)')
    .action(act(inspect))

async function inspect(_session: Session, path: string, { text, html }: InspectOptions): Promise<Outcome> {
  if (html !== undefined) throw new UsageError('--html is not available in this version; use --text')
  const { circuit, digest } = await loadCircuit(path)
  const { planReport } = await import('../../compiler/index.ts')
  const { circuitText, manifestOf } = await import('../../circuit/index.ts')
  const plan = planReport(circuit)
  const listing = text ? { text: circuitText(circuit) } : {}
  const manifest = manifestOf(circuit).digest
  return {
    document: { model: circuit.model, digest, manifest, plan, ...listing },
    text: listing.text ?? `${circuit.model}, circuit ${digest.slice(0, 16)}\n\n${planText(plan)}`,
  }
}
