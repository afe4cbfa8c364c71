import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Redis } from 'ioredis'
import { buildIfStale } from '../scripts/building/build.ts'
import { CLI } from '../scripts/building/paths.ts'
import { startServer } from '../scripts/demo/server.ts'
import { type Benchmark, check, figure } from './harness.ts'
import { perMinute } from './parts/per-minute.ts'
import { type StoredQuery, send, storedQuery } from './parts/stored-query.ts'

const MODEL = 'digits'
const WORKERS = [1, 2, 4]
const CLIENTS = 4
/** Each worker computes one inference at a time, on one thread. */
const SMALL = { POLYVEIL_THREADS: '1', POLYVEIL_INFERENCES_PER_WORKER: '1', POLYVEIL_LOG_LEVEL: 'error' }
/** Clock ticks of Linux in a second. */
const TICKS = 100

/**
 * What several worker processes give, each with one thread, beside one process that does all with one thread:
 * and what an inference costs the HTTP process and Redis, which all workers share.
 */
export const cluster: Benchmark = {
  name: 'cluster',
  what: 'inferences a minute with 1, 2 and 4 worker processes, and what they cost Redis; needs redis-server',
  async run(say) {
    await buildIfStale(say)
    const rows = [await alone(say)]
    for (const workers of WORKERS) rows.push(await together(workers, say))
    return { model: MODEL, clients: CLIENTS, threadsOfWorker: 1, rows }
  },
}

/** One process that does all. */
async function alone(say: (line: string) => void) {
  const server = await startServer(undefined, SMALL)
  try {
    const queries = await clientsOf(server.url)
    return { workers: 0, ...(await perMinute(queries, say)) }
  } finally {
    await server.stop()
  }
}

/** One HTTP process and some worker processes. */
async function together(count: number, say: (line: string) => void) {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-bench-'))
  const port = await freePort()
  const redisServer = spawn('redis-server', ['--port', String(port), '--save', '', '--appendonly', 'no'], {
    stdio: 'ignore',
  })
  const redis = new Redis(port, '127.0.0.1')
  const settings = { ...SMALL, POLYVEIL_REDIS: `redis://127.0.0.1:${port}`, POLYVEIL_DATA_DIR: directory }
  const workers: ChildProcess[] = []
  try {
    await redis.ping()
    for (let i = 0; i < count; i++) workers.push(await startWorker(settings))
    const server = await startServer(undefined, settings)
    try {
      const queries = await clientsOf(server.url)
      const before = await costs(redis, redisServer, server.pid)
      const row = await perMinute(queries, say)
      const after = await costs(redis, redisServer, server.pid)
      return { workers: count, ...row, ofEachInference: perInference(before, after, row.inferences) }
    } finally {
      await server.stop()
    }
  } finally {
    for (const worker of workers) worker.kill('SIGKILL')
    redis.disconnect()
    redisServer.kill()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Clients that have had an inference each. */
async function clientsOf(url: string): Promise<StoredQuery[]> {
  const queries: StoredQuery[] = []
  for (let i = 0; i < CLIENTS; i++) queries.push(await storedQuery(url, MODEL))
  for (const query of queries) check((await send(query)) === 200, 'a first inference is answered')
  // Until each worker process has loaded the keys of each client, times are those of loading.
  await perMinute(queries, () => {})
  return queries
}

async function startWorker(settings: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CLI, 'worker', '--json', '--quiet'], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(createInterface({ input: child.stdout! }), 'line')
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

interface Costs {
  readonly redisSeconds: number
  readonly redisCommands: number
  readonly redisBytes: number
  readonly httpSeconds: number
}

async function costs(redis: Redis, redisServer: ChildProcess, http: number): Promise<Costs> {
  const stats = await redis.info('stats')
  const number = (name: string): number => Number(new RegExp(`${name}:(\\d+)`).exec(stats)?.[1])
  return {
    redisSeconds: await processorSeconds(redisServer.pid!),
    redisCommands: number('total_commands_processed'),
    redisBytes: number('total_net_input_bytes') + number('total_net_output_bytes'),
    httpSeconds: await processorSeconds(http),
  }
}

function perInference(before: Costs, after: Costs, inferences: number) {
  const each = (part: keyof Costs): number => (after[part] - before[part]) / inferences
  return {
    redisMilliseconds: figure(1000 * each('redisSeconds')),
    redisCommands: figure(each('redisCommands')),
    redisBytes: figure(each('redisBytes')),
    httpMilliseconds: figure(1000 * each('httpSeconds')),
  }
}

/** User and system time of a process, from the file of Linux that has it. */
async function processorSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}
