import t from 'tap'
import { uploadKeySet } from '../../src/client/transport/key-upload.ts'
import { parts } from '../../src/client/transport/parts.ts'
import { Transport } from '../../src/client/transport/transport.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { collect } from '../wire/fixtures.ts'
import { FakeServer, type Handler, ORIGIN } from './fake-server.ts'

const PART = 8 * 2 ** 20
const BYTES = 2 * PART + 12_345
const keySet = { parametersDigest: 'e'.repeat(64), bytes: BYTES, galoisElements: [3, 9] }

/** Distinct bytes in chunks of odd sizes. */
async function* chunks(): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < BYTES; offset += 999_983) {
    const length = Math.min(999_983, BYTES - offset)
    yield Uint8Array.from({ length }, (_, i) => ((offset + i) * 2654435761) >>> 24)
  }
}
const expected = Buffer.from(await collect(chunks()))

async function upload(intercept: Handler) {
  const server = new FakeServer()
  server.intercept = intercept
  const sent: number[] = []
  const onSent = (bytes: number): void => void sent.push(bytes)
  const result = await uploadKeySet(new Transport(ORIGIN, { fetch: server.fetch }), keySet, chunks(), {
    onSent,
  })
  return { server, sent, result, received: Buffer.concat(server.keySets.get(result.id)!.received) }
}

t.test('parts have the requested size, whatever the sizes of chunks', async (t) => {
  for (const size of [1, 3, 7, 100]) {
    const bytes: Uint8Array[] = [Uint8Array.of(1, 2, 3, 4, 5), Uint8Array.of(), Uint8Array.of(6, 7)]
    const source = (async function* () {
      yield* bytes
    })()
    const cut: number[][] = []
    for await (const part of parts(source, size)) cut.push([...part])
    t.strictSame(cut.flat(), [1, 2, 3, 4, 5, 6, 7])
    t.ok(cut.slice(0, -1).every((part) => part.length === size))
    t.equal(cut.length, Math.ceil(7 / size))
  }
})

t.test('a key set arrives complete, in parts of 8 MiB', async (t) => {
  const { received, sent, result } = await upload(() => undefined)
  t.ok(received.equals(expected))
  t.strictSame(sent, [PART, 2 * PART, BYTES])
  t.strictSame(result, { id: 'key-set-0', expires: '2099-01-01T00:00:00.000Z' })
})

t.test('an upload resumes a part that broke off', async (t) => {
  const broken = new Set(['0', String(2 * PART)])
  const server = await upload(({ method, headers }) => {
    if (method === 'PUT' && broken.delete(headers['upload-offset'])) throw new TypeError('connection reset')
    return undefined
  })
  t.ok(server.received.equals(expected))
  t.equal(broken.size, 0, 'both parts broke off once')
})

t.test('an upload resumes after half of a part arrived, and after its answer was lost', async (t) => {
  for (const kept of [1000, PART]) {
    let once = true
    const server = new FakeServer()
    server.intercept = ({ method, body }) => {
      if (method !== 'PUT' || !once) return undefined
      once = false
      server.keySets.get('key-set-0')!.received.push(body.subarray(0, kept))
      throw new TypeError('connection reset')
    }
    await uploadKeySet(new Transport(ORIGIN, { fetch: server.fetch }), keySet, chunks(), {})
    t.ok(Buffer.concat(server.keySets.get('key-set-0')!.received).equals(expected), `${kept} bytes`)
  }
})

t.test('an upload continues at the offset that the server names', async (t) => {
  const server = new FakeServer()
  let once = true
  server.intercept = ({ method, body }) => {
    if (method !== 'PUT' || !once) return undefined
    once = false
    server.keySets.get('key-set-0')!.received.push(body.subarray(0, 77))
    throw new PolyVeilError('TENSOR_MALFORMED', 'go on at 77', { uploadOffset: 77 })
  }
  await uploadKeySet(new Transport(ORIGIN, { fetch: server.fetch }), keySet, chunks(), {})
  t.ok(Buffer.concat(server.keySets.get('key-set-0')!.received).equals(expected))
})

t.test('an upload ends if the server loses earlier parts or makes no progress', async (t) => {
  await t.rejects(
    upload(({ method, headers }) => {
      if (method !== 'PUT' || headers['upload-offset'] === '0') return undefined
      throw new PolyVeilError('TENSOR_MALFORMED', 'lost', { uploadOffset: 5 })
    }),
    { code: 'TENSOR_MALFORMED', message: /byte 5/ },
  )
  let puts = 0
  await t.rejects(
    upload(({ method }) => {
      if (method !== 'PUT') return undefined
      puts++
      throw new PolyVeilError('TENSOR_MALFORMED', 'again', { uploadOffset: 0 })
    }),
    { message: 'again' },
  )
  t.equal(puts, 5)
})

t.test('an invalid id of a key set is refused before it is used in a header', async (t) => {
  for (const id of ['a\r\nx: y', 'ä', '', 'x'.repeat(129)]) {
    const refused = upload(({ method }) =>
      method === 'POST' ? Response.json({ id, expires: '2099-01-01T00:00:00.000Z' }) : undefined,
    )
    await t.rejects(refused, { code: 'CONFIG_INVALID', message: /not what a PolyVeil server gives/ })
  }
})

t.test('errors that a retry cannot remedy are passed on', async (t) => {
  await t.rejects(
    upload(({ method }) => {
      if (method === 'PUT') throw new PolyVeilError('KEYS_EXPIRED', 'gone')
      return undefined
    }),
    { code: 'KEYS_EXPIRED' },
  )
})
