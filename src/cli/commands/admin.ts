import { Command } from 'commander'
import type { BackupMade } from '../../server/management/backups.ts'
import type { Drain } from '../../server/management/health.ts'
import type { InferenceList } from '../../server/management/inferences.ts'
import type { KeySetPage } from '../../server/management/key-sets.ts'
import type { Models } from '../../server/management/models.ts'
import type { Status } from '../../server/management/status.ts'
import { bytesText, secondsText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome, quietParser } from '../command.ts'
import { ManagementClient, type ManagementFlags, withManagement } from '../input/management.ts'
import { whole } from '../input/option-values.ts'
import { table } from '../output/table.ts'
import { UsageError } from '../usage-error.ts'

interface ListFlags extends ManagementFlags {
  readonly tenant?: string
  readonly limit: number
}

interface DeleteFlags extends ManagementFlags {
  readonly tenant?: string
}

interface ModelFlags extends ManagementFlags {
  readonly look?: boolean
}

/** Most key sets of a page of the server. */
const PAGE = 1000
const MOST_LISTED = 1_000_000
const DEFAULT_LISTED = 100
/** Characters of a name that the log has, too. */
const SHOWN = 12

/** `polyveil admin` */
export function adminCommand(): Command {
  const admin = quietParser(new Command('admin')).description(
    'operate a running service through its management port',
  )
  const keys = quietParser(new Command('keys')).description('stored key sets of all tenants')
  keys.addCommand(
    withManagement(command('list', 'stored key sets, by name'))
      .option('--tenant <name>', 'only those of a tenant')
      .option('--limit <n>', 'most key sets to list', whole(1, MOST_LISTED), DEFAULT_LISTED)
      .action(act(listKeys)),
  )
  keys.addCommand(
    withManagement(
      command('delete', 'delete key sets; their clients upload them again').argument(
        '[name...]',
        'names, or their first 12 digits as the list and the log show them',
      ),
    )
      .option('--tenant <name>', 'all key sets of a tenant')
      .action(act(deleteKeys)),
  )
  const commands = [
    withManagement(command('status', 'readiness, load, workers and memory')).action(act(status)),
    withManagement(command('drain', 'take no new inferences and key sets; what runs ends by itself')).action(
      act(drain),
    ),
    withManagement(command('undrain', 'take new inferences and key sets again')).action(act(undrain)),
    keys,
    withManagement(command('models', 'versions of models, and circuit files that are left out'))
      .option('--look', 'look for new, changed and removed circuits first')
      .action(act(models)),
    withManagement(command('inferences', 'inferences under way')).action(act(inferences)),
    withManagement(
      command('cancel', 'cancel an inference').argument('<handle>', 'as the list of inferences shows it'),
    ).action(act(cancel)),
    withManagement(
      command('backup', 'have the service make a backup below its backupDir').argument(
        '[directory]',
        'name of the new directory (default: the time)',
      ),
    ).action(act(backup)),
  ]
  for (const each of commands) admin.addCommand(each)
  return admin
}

async function status({ signal }: CommandContext, flags: ManagementFlags): Promise<Outcome> {
  const document = await (await ManagementClient.at(flags, signal)).send<Status>('GET', 'status')
  return { document, text: statusText(document) }
}

function statusText({ version, ready, reasons, load, workers, memory, keySets, models }: Status): string {
  const rows = workers.map((worker, number) => [
    String(number),
    worker.ready ? 'yes' : 'no',
    String(worker.computing),
    String(worker.loadedKeySets),
    bytesText(worker.heldBytes),
    bytesText(worker.limitBytes),
  ])
  return [
    `${ready ? 'ready' : 'not ready'}, version ${version}`,
    ...reasons.map(({ part, detail }) => `${part}: ${detail}`),
    `${load.computing} inference(s) computing, ${load.paused} waiting for clients, ${load.waiting} waiting for their turn ` +
      `(${secondsText(load.waitSeconds)})`,
    `${keySets.complete} key set(s), ${keySets.uploads} upload(s), ${bytesText(keySets.bytes)}`,
    `${models.served} circuit(s), ${models.leftOut} left out`,
    `memory ${bytesText(memory.residentBytes)}, at most ${bytesText(memory.peakResidentBytes)}`,
    table([['worker', 'runs', 'computing', 'key sets', 'held', 'limit'], ...rows]),
  ].join('\n')
}

async function drain({ signal }: CommandContext, flags: ManagementFlags): Promise<Outcome> {
  return drained(await (await ManagementClient.at(flags, signal)).send<Drain>('PUT', 'drain'))
}

async function undrain({ signal }: CommandContext, flags: ManagementFlags): Promise<Outcome> {
  return drained(await (await ManagementClient.at(flags, signal)).send<Drain>('DELETE', 'drain'))
}

const INTAKE: Readonly<Record<Drain['intake'], string>> = {
  open: 'The service takes new inferences and key sets',
  drained: 'The service is drained: it takes no new inferences and key sets',
  ending: 'The service is about to end: it takes no new inferences and key sets',
}

const drained = (document: Drain): Outcome => ({
  document,
  text: `${INTAKE[document.intake]}; ${document.running} inference(s) under way.`,
})

async function listKeys(
  { signal }: CommandContext,
  { limit, tenant, ...flags }: ListFlags,
): Promise<Outcome> {
  const client = await ManagementClient.at(flags, signal)
  const keySets: KeySetPage['keySets'] = []
  let next: string | undefined
  let total = 0
  do {
    const wanted = { limit: String(Math.min(PAGE, limit - keySets.length)), tenant, after: next }
    const page = await client.send<KeySetPage>('GET', `keys?${queryOf(wanted)}`)
    keySets.push(...page.keySets)
    total = page.total
    next = page.next
  } while (next !== undefined && keySets.length < limit)
  const rows = keySets.map((set) => [
    set.name.slice(0, SHOWN),
    set.tenant ?? '-',
    bytesText(set.bytes),
    set.complete ? 'yes' : 'no',
    set.parametersDigest.slice(0, SHOWN),
    minute(set.created),
    minute(set.used),
    minute(set.expires),
  ])
  const heading = ['key set', 'tenant', 'size', 'complete', 'parameters', 'created', 'used', 'expires']
  const more = total - keySets.length
  const text = [
    rows.length === 0 ? 'There are no key sets.' : table([heading, ...rows], 1),
    ...(next === undefined ? [] : [`${more} more; --limit lists more of them.`]),
  ].join('\n')
  return { document: { keySets, total }, text }
}

async function deleteKeys(
  { signal }: CommandContext,
  names: string[],
  { tenant, ...flags }: DeleteFlags,
): Promise<Outcome> {
  if (names.length > 0 === (tenant !== undefined))
    throw new UsageError('Either NAME... or --tenant says what to delete')
  const wrong = names.find((name) => !/^[0-9a-f]{12,64}$/.test(name))
  if (wrong !== undefined) throw new UsageError('The name of a key set has 12 to 64 hexadecimal digits')
  const client = await ManagementClient.at(flags, signal)
  if (tenant !== undefined) {
    const document = await client.send<{ deleted: number }>('DELETE', `keys?${queryOf({ tenant })}`)
    return { document, text: `${document.deleted} key set(s) of ${tenant} deleted.` }
  }
  for (const name of names) await client.send('DELETE', `keys/${name}`)
  return { document: { deleted: names.length }, text: `${names.length} key set(s) deleted.` }
}

async function models({ signal }: CommandContext, { look, ...flags }: ModelFlags): Promise<Outcome> {
  const client = await ManagementClient.at(flags, signal)
  const document = await (look
    ? client.send<Models>('POST', 'models/look')
    : client.send<Models>('GET', 'models'))
  const rows = document.served.map((model) => [
    model.name,
    String(model.version),
    model.digest.slice(0, SHOWN),
    model.parametersDigest.slice(0, SHOWN),
    String(model.batch),
    String(model.rounds),
    bytesText(model.memoryBytes),
  ])
  const heading = ['model', 'version', 'circuit', 'parameters', 'batch', 'rounds', 'memory']
  const text = [
    rows.length === 0 ? 'No model is served.' : table([heading, ...rows], 1),
    ...document.leftOut.flatMap(({ file, reason, remedy }) => [`left out ${file}: ${reason}`, `  ${remedy}`]),
  ].join('\n')
  return { document, text }
}

async function inferences({ signal }: CommandContext, flags: ManagementFlags): Promise<Outcome> {
  const document = await (await ManagementClient.at(flags, signal)).send<InferenceList>('GET', 'inferences')
  const rows = document.inferences.map((each) => [
    each.handle,
    each.model,
    each.tenant ?? '-',
    each.keySet.slice(0, SHOWN),
    each.state,
    `${each.round}/${each.rounds}`,
    secondsText(each.seconds),
  ])
  const heading = ['inference', 'model', 'tenant', 'key set', 'state', 'round', 'time']
  const text = rows.length === 0 ? 'No inference is under way.' : table([heading, ...rows], 1)
  return { document, text }
}

async function cancel({ signal }: CommandContext, handle: string, flags: ManagementFlags): Promise<Outcome> {
  if (!/^[0-9a-f]{16}$/.test(handle))
    throw new UsageError('The handle of an inference has 16 hexadecimal digits')
  await (await ManagementClient.at(flags, signal)).send('DELETE', `inferences/${handle}`)
  return { document: { cancelled: handle }, text: `The inference ${handle} ends before its next operation.` }
}

async function backup(
  { signal, progress }: CommandContext,
  directory = timeName(new Date()),
  flags: ManagementFlags,
): Promise<Outcome> {
  const client = await ManagementClient.at(flags, signal)
  progress.step(`making the backup ${directory}`)
  const document = await client.send<BackupMade>('POST', 'backup', { directory })
  const { path, keySets, bytes, leftOut, tenants } = document
  const text =
    `${path} has ${keySets} key set(s), ${bytesText(bytes)}, and ${tenants} tenant(s); ` +
    `${leftOut} incomplete upload(s) are left out.`
  return { document, text }
}

/** Such as 2030-01-31T12-30-00Z: file systems of some machines have no colons. */
const timeName = (now: Date): string => now.toISOString().replaceAll(':', '-').replace(/\.\d+/, '')

/** A query string of the parameters that are there. */
const queryOf = (parameters: Readonly<Record<string, string | undefined>>): string =>
  new URLSearchParams(
    Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ).toString()

const minute = (instant: string | undefined): string => instant?.slice(0, 16).replace('T', ' ') ?? '-'
