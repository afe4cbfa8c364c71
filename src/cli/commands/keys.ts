import { Command } from 'commander'
import type { DeletedKeys, KeptKey, KeptKeySet, KeyStore, PolyVeil } from '../../client/index.ts'
import { act, type CommandContext, command, type Outcome, quietParser } from '../command.ts'
import { openKeyStore, withKeys } from '../input/key-store.ts'
import { MANIFEST_HELP, withModel } from '../input/local-model.ts'
import { type PinFlags, pinOptions, withPins } from '../input/pins.ts'
import { headersOf, type ServerOptions, shownUrl, withHeaders } from '../input/server.ts'
import { table } from '../output/table.ts'
import { UsageError } from '../usage-error.ts'

interface Where extends ServerOptions {
  readonly keys: string
  readonly url?: string
}

interface DeleteFlags extends Where {
  readonly all?: boolean
  readonly leftOver?: boolean
}

interface RotateFlags extends Where, PinFlags {
  readonly model?: string
  readonly manifest?: string
}

/** The columns of a list of keys that hold names. */
const KEY_NAMES = 2

/** `polyveil keys` */
export function keysCommand(): Command {
  const keys = quietParser(new Command('keys')).description(
    'the life of keys: list, rotate, delete, here and on servers',
  )
  const commands = [
    withPlace(command('list', 'secret keys, and their key sets on servers with expiry')).action(act(list)),
    withPins(withPlace(command('rotate', 'replace the secret key of a model; the old key sets are deleted')))
      .option('--model <name>', 'the model; with --url')
      .option('--manifest <file or url>', `${MANIFEST_HELP}; without --url`)
      .action(act(rotate)),
    withPlace(
      command('delete', 'delete secret keys, and their key sets on the server').argument(
        '[key...]',
        'beginnings of keys as `polyveil keys list` shows them',
      ),
    )
      .option('--all', 'all keys of the directory')
      .option('--left-over', 'key sets whose secret key is gone')
      .action(act(remove)),
  ]
  for (const each of commands) keys.addCommand(each)
  return keys
}

const withPlace = (each: Command): Command =>
  withHeaders(
    withKeys(each).option('--url <url>', 'the server to ask; without it no server is told anything'),
  )

async function list({ progress, signal }: CommandContext, { url, ...flags }: Where): Promise<Outcome> {
  const { listKeys } = await import('../../client/index.ts')
  const store = await openKeyStore(flags.keys)
  if (url === undefined) return listed(await listKeys(store))
  progress.step(`asking ${shownUrl(url)}`)
  const server = await connected(url, store, flags, signal)
  return listed(await server.keySets.list({ signal }), shownUrl(url))
}

async function remove(
  { progress, signal }: CommandContext,
  beginnings: string[],
  { url, all = false, leftOver = false, ...flags }: DeleteFlags,
): Promise<Outcome> {
  const ways = [beginnings.length > 0, all, leftOver].filter(Boolean)
  if (ways.length !== 1)
    throw new UsageError('Exactly one of KEY..., --all and --left-over says what to delete')
  if (leftOver && url === undefined) throw new UsageError('--left-over deletes on a server; give its --url')
  const { listKeys, deleteKeys } = await import('../../client/index.ts')
  const store = await openKeyStore(flags.keys)
  const chosen = all || leftOver ? undefined : digestsOf(await listKeys(store), beginnings)
  if (url === undefined) return deleted(await (chosen ? deleteKeys(store, chosen) : deleteKeys(store)))
  progress.step(`deleting on ${shownUrl(url)}`)
  const server = await connected(url, store, flags, signal)
  const choice = { leftOver, ...(chosen && { parametersDigests: chosen }) }
  return deleted(await server.keySets.delete({ signal, ...choice }), shownUrl(url))
}

async function rotate(context: CommandContext, flags: RotateFlags): Promise<Outcome> {
  const { url, model, manifest, keys, header, pins } = flags
  if (url !== undefined && model !== undefined && manifest === undefined) {
    return rotateOnline(context, flags, url, model)
  }
  if (url !== undefined || model !== undefined || manifest === undefined) {
    throw new UsageError('Give --url and --model, or --manifest alone to rotate without a server')
  }
  context.progress.step('making a key')
  return withModel(context, { manifest, keys, header, pins }, async (local, store) => {
    const { deleteKeys } = await import('../../client/index.ts')
    const { digest } = local.parameters
    const { remaining } = await deleteKeys(store, [digest])
    // Makes the new one.
    await local.keyFingerprint()
    return rotated({ parametersDigest: digest, remaining })
  })
}

async function rotateOnline(
  { progress, signal }: CommandContext,
  flags: RotateFlags,
  url: string,
  model: string,
): Promise<Outcome> {
  progress.step(`replacing the keys of ${model} on ${shownUrl(url)}`)
  const store = await openKeyStore(flags.keys)
  await using server = await connected(url, store, flags, signal, pinOptions(flags, progress))
  const { parametersDigest } = await server.manifest(model, { signal })
  const { expires, remaining } = await server.keySets.rotate(model, {
    signal,
    onProgress: ({ bytesDone, bytesTotal }) => progress.update(bytesDone, bytesTotal),
  })
  return rotated({ parametersDigest, remaining, url: shownUrl(url), expires })
}

async function connected(
  url: string,
  keys: KeyStore,
  flags: ServerOptions,
  signal: AbortSignal,
  pins: ReturnType<typeof pinOptions> | undefined = undefined,
): Promise<PolyVeil> {
  const { connect } = await import('../../client/index.ts')
  return connect(url, { keys, headers: headersOf(flags), signal, ...pins })
}

/** @throws UsageError when a beginning fits no key, or several */
function digestsOf(keys: readonly KeptKey[], beginnings: readonly string[]): string[] {
  const digests = [...new Set(keys.flatMap(({ parametersDigest }) => parametersDigest ?? []))]
  return beginnings.map((beginning) => {
    // As from an unset variable of a shell. It would fit every key.
    if (beginning === '') throw new UsageError('The beginning of a key is empty')
    const fitting = digests.filter((digest) => digest.startsWith(beginning.toLowerCase()))
    if (fitting.length === 1) return fitting[0]
    const what = fitting.length === 0 ? 'No key begins' : `${fitting.length} keys begin`
    throw new UsageError(`${what} with ${JSON.stringify(beginning)}; \`polyveil keys list\` shows them all`)
  })
}

function listed(keys: readonly KeptKey[], url?: string): Outcome {
  const rows = keys.flatMap((key) => {
    const name = keyText(key)
    if (key.keySets.length === 0) return [[name, '-', '-', '-', '-']]
    return key.keySets.map((set) => [name, set.name, ...placeOf(set), set.state])
  })
  const text = [
    rows.length === 0
      ? 'There are no keys.'
      : table([['key', 'key set', 'server', 'expires', 'state'], ...rows], KEY_NAMES),
    ...(url === undefined ? [`No server was asked; --url asks one.`] : []),
  ].join('\n')
  return { document: { url, asked: url !== undefined, keys }, text }
}

function deleted({ secretKeys, keySets, remaining }: DeletedKeys, url?: string): Outcome {
  const there = keySets.filter(({ state }) => state !== 'gone').length
  const lines = [
    `${secretKeys.length} secret key(s) deleted here`,
    url === undefined ? 'No server was told anything.' : `${there} key set(s) deleted on ${url}`,
    ...remaining.map(remainingText),
  ]
  return {
    document: { url, told: url !== undefined, secretKeys, keySets, remaining },
    text: lines.join('\n'),
  }
}

interface Rotated {
  readonly parametersDigest: string
  readonly remaining: readonly KeptKeySet[]
  readonly url?: string
  readonly expires?: string
}

function rotated({ parametersDigest, remaining, url, expires }: Rotated): Outcome {
  const lines = [
    `a new secret key for ${short(parametersDigest)}`,
    url === undefined ? 'No server was told anything.' : `its key set is on ${url}, until ${expires}`,
    ...remaining.map(remainingText),
  ]
  const document = { url, told: url !== undefined, parametersDigest, expires, remaining }
  return { document, text: lines.join('\n') }
}

const remainingText = (set: KeptKeySet): string => {
  const [server, expires] = placeOf(set)
  return `key set ${set.name} stays on ${server} until ${expires}; \`polyveil keys delete --left-over --url\` deletes it`
}

const placeOf = ({ server, expires }: KeptKeySet): string[] => [
  server ?? 'a server of earlier',
  expires ?? 'unknown',
]

const keyText = ({ parametersDigest, hasSecretKey }: KeptKey): string =>
  `${parametersDigest === undefined ? 'unknown' : short(parametersDigest)}${hasSecretKey ? '' : ' (no secret key)'}`

const short = (digest: string): string => digest.slice(0, 12)
