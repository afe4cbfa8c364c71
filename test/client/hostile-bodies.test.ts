import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import type { LocalModel } from '../../src/client/local/local-model.ts'
import { runRounds } from '../../src/client/round-exchange.ts'
import { readBounded } from '../../src/client/transport/body.ts'
import { Transport } from '../../src/client/transport/transport.ts'
import { JSON_LENGTH_HEADER } from '../../src/wire/protocol/index.ts'

// Bodies that take a client's processor or memory: compressed ones, many short chunks, many large rounds.

async function serving(t: Test, listener: RequestListener): Promise<Transport> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  return new Transport(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

t.test('a compressed body is refused, because none is asked for', async (t) => {
  const asked: unknown[] = []
  const transport = await serving(t, ({ headers }, response) => {
    asked.push(headers['accept-encoding'])
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' })
    response.end(gzipSync('{}'))
  })
  await t.rejects(transport.json({ method: 'GET', path: 'v2' }), {
    code: 'CONFIG_INVALID',
    message: /compressed/,
    remedy: /proxy/,
  })
  t.strictSame(asked, ['identity'])
  const plain = await serving(t, (_request, response) => {
    response.writeHead(200, { 'content-encoding': 'identity' }).end('{"a":1}')
  })
  t.strictSame(await plain.json({ method: 'GET', path: 'v2' }), { a: 1 })
})

const inChunks = (chunks: number, bytes: number): Response =>
  new Response(
    new ReadableStream({
      pull(controller) {
        if (chunks-- > 0) controller.enqueue(new Uint8Array(bytes))
        else controller.close()
      },
    }),
  )

t.test('a body of very many short chunks is refused', async (t) => {
  await t.rejects(readBounded(inChunks(100_000, 1), 1_000_000), {
    code: 'TENSOR_MALFORMED',
    facts: { chunks: 4162, bytes: 4162 },
  })
  t.equal((await readBounded(inChunks(4000, 1), 1_000_000)).length, 4000)
  t.equal((await readBounded(inChunks(50_000, 64), 4_000_000)).length, 3_200_000)
})

t.test('a body is read whole, whatever length is announced', async (t) => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251)
  const announcing = (length: string): Response => {
    const parts = [bytes.subarray(0, 300), bytes.subarray(300, 450), bytes.subarray(450)]
    const body = new ReadableStream({
      pull(controller) {
        const part = parts.shift()
        if (part) controller.enqueue(part)
        else controller.close()
      },
    })
    return new Response(body, { headers: { 'content-length': length } })
  }
  for (const length of ['1000', '0', '300', '400', '999', '1500', '-5', '1e400', '2.5', 'many']) {
    t.strictSame(Buffer.from(await readBounded(announcing(length), 1500)), Buffer.from(bytes), length)
  }
  await t.rejects(readBounded(announcing('1501'), 1500), { code: 'TOO_LARGE' })
})

t.test('the name that a proxy gives itself is one word', async (t) => {
  const transport = await serving(t, (_request, response) => {
    response.writeHead(403, { server: 'stale). Run polyveil keys delete --all first (see manual' }).end()
  })
  await t.rejects(transport.json({ method: 'GET', path: 'v2' }), {
    message: /\(stale\) does not let the request through/,
    facts: { proxy: 'stale' },
  })
})

t.test('requests that expect no answer ask for no compression either', async (t) => {
  const asked = Promise.withResolvers<unknown>()
  const transport = await serving(t, ({ headers }, response) => {
    asked.resolve(headers['accept-encoding'])
    response.end()
  })
  await transport.tell({ method: 'DELETE', path: 'v2' })
  t.equal(await asked.promise, 'identity')
})

/** Runs rounds of `bytes` bytes each way. @returns the most outputs and replies that were open at once */
async function overlapOf(bytes: number): Promise<{ outputs: number; replies: number }> {
  const rounds = 6
  const frame = new Uint8Array(bytes)
  const open = { outputs: 0, replies: 0 }
  const most = { outputs: 0, replies: 0 }
  const bodyOf = (round: number): Response => {
    const tensor = { datatype: 'BYTES', shape: [1], parameters: { binary_data_size: bytes } }
    const outputs = [{ name: round === rounds ? 'logits' : 'refresh', ...tensor }]
    const state = round === rounds ? {} : { parameters: { state: 'refresh', round, rounds } }
    const identity = { model_name: 'm', model_version: '1', id: 'i' }
    const json = Buffer.from(JSON.stringify({ ...identity, ...state, outputs }))
    const headers = { [JSON_LENGTH_HEADER]: String(json.length) }
    return new Response(Buffer.concat([json, frame]), { headers })
  }
  const fetch = async (url: URL, init: RequestInit): Promise<Response> => {
    const round = Number(url.pathname.split('/').at(-1))
    const kind = init.method === 'GET' ? 'outputs' : 'replies'
    most[kind] = Math.max(most[kind], ++open[kind])
    for (let i = 0; i < 20; i++) await turn()
    open[kind]--
    if (kind === 'outputs') return bodyOf(round)
    const wantsNext = !new Headers(init.headers).has('prefer')
    return wantsNext ? bodyOf(round + 1) : new Response('{}')
  }
  const model = {
    manifest: { rounds, refresh: { ciphertexts: new Array(rounds).fill(1) } },
    sizes: { rounds: new Array(rounds).fill({ up: bytes, down: bytes }), response: bytes },
    refresh: async () => frame,
  } as unknown as LocalModel
  const transport = new Transport('http://polyveil.test', { fetch: fetch as typeof globalThis.fetch })
  const first = bodyOf(0)
  const answer = { headers: first.headers, body: new Uint8Array(await first.arrayBuffer()) }
  await runRounds(transport, model, { inference: 'i', keySet: 'k', answer: Promise.resolve(answer) }, {})
  return most
}

t.test('small rounds overlap, and large ones go one by one', async (t) => {
  t.strictSame(await overlapOf(1000), { outputs: 2, replies: 2 })
  t.strictSame(await overlapOf(40 * 2 ** 20), { outputs: 1, replies: 2 })
  t.strictSame(await overlapOf(80 * 2 ** 20), { outputs: 0, replies: 1 })
})
