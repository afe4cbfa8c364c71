import t from 'tap'
import { checkManifest } from '../../src/circuit/manifest/manifest.ts'
import { harness, isProblem, model, query, splitAnswer, uploadKeys } from './support.ts'

t.test('server metadata and health', async (t) => {
  const h = await harness(t)
  const metadata = (await h.inject({ url: '/v2' })).json()
  t.match(metadata, { name: 'polyveil', extensions: ['binary_tensor_data', 'polyveil_ckks'] })
  t.match(metadata.version, /^\d+\.\d+\.\d+/)
  t.same((await h.inject({ url: '/v2/health/live' })).json(), { live: true })
  t.same((await h.inject({ url: '/v2/health/ready' })).json(), { ready: true })
  t.same((await h.inject({ url: '/v2/models/small/ready' })).json(), { name: 'small', ready: true })

  h.engine.ready = false
  for (const url of ['/v2/health/ready', '/v2/models/small/ready']) {
    const answer = await h.inject({ url })
    t.equal(answer.statusCode, 503, url)
    t.equal(answer.json().ready, false)
  }
  t.equal(
    (await h.inject({ url: '/v2/health/live' })).statusCode,
    200,
    'the server is alive although it is not ready',
  )
})

t.test('model metadata states the exact sizes', async (t) => {
  const h = await harness(t)
  const metadata = (await h.inject({ url: '/v2/models/small' })).json()
  t.same((await h.inject({ url: '/v2/models' })).json(), { models: [metadata] })
  // The query has two seeded ciphertexts at level 2, the answer one full ciphertext at level 0. A frame takes
  // 80 bytes, a tensor header 16, a seed record 68.
  const query = 96 + 2 * ((8192 * (50 + 40 + 30)) / 8 + 68)
  const response = 96 + (2 * (8192 * 50)) / 8
  t.match(metadata, {
    name: 'small',
    versions: ['1'],
    platform: 'polyveil_ckks',
    inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: query } }],
    outputs: [{ name: 'logits', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: response } }],
    labels: ['left', 'right', 'neither'],
    parameters: { manifest_digest: model.manifest.digest, image_shape: [3, 3, 5], batch: 1 },
  })
})

t.test('the manifest passes the client’s checks, holds no weight, and is cached by its digest', async (t) => {
  const h = await harness(t)
  const answer = await h.inject({ url: '/v2/models/small/manifest' })
  t.equal(checkManifest(answer.json()).digest, model.manifest.digest)
  t.notMatch(answer.body, /constants|-1\.5/)
  const etag = `"${model.manifest.digest}"`
  t.equal(answer.headers.etag, etag)
  for (const tag of [etag, `"other", W/${etag}`, '*']) {
    const cached = await h.inject({ url: '/v2/models/small/manifest', headers: { 'if-none-match': tag } })
    t.equal(cached.statusCode, 304, tag)
    t.equal(cached.body, '')
  }
  const stale = await h.inject({ url: '/v2/models/small/manifest', headers: { 'if-none-match': '"other"' } })
  t.equal(stale.statusCode, 200)
})

t.test('unknown models and routes are 404', async (t) => {
  const h = await harness(t)
  for (const url of ['/v2/models/none', '/v2/models/none/ready', '/v2/models/none/manifest']) {
    isProblem(t, await h.inject({ url }), 404, 'MODEL_UNKNOWN', { models: ['small'] })
  }
  isProblem(t, await h.inject({ url: '/v2/nothing' }), 404, 'CONFIG_INVALID')
})

t.test('a listed version has the routes of its model, and other versions are unknown', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const { versions } = (await h.inject({ url: '/v2/models/small' })).json()
  t.same(versions, ['1'])
  for (const path of ['', '/ready', '/manifest']) {
    const plain = await h.inject({ url: `/v2/models/small${path}` })
    for (const method of ['GET', 'HEAD'] as const) {
      const versioned = await h.inject({ method, url: `/v2/models/small/versions/1${path}` })
      t.equal(versioned.statusCode, 200, path)
      if (method === 'GET') t.same(versioned.json(), plain.json())
    }
    for (const version of ['2', '01', 'v1', '1.0', '%20'])
      isProblem(
        t,
        await h.inject({ url: `/v2/models/small/versions/${version}${path}` }),
        404,
        'MODEL_UNKNOWN',
        { versions: ['1'] },
      )
    isProblem(t, await h.inject({ url: `/v2/models/none/versions/1${path}` }), 404, 'MODEL_UNKNOWN', {
      models: ['small'],
    })
  }
  const inferAt = (version: string) =>
    h.inject({ ...query(keys), url: `/v2/models/small/versions/${version}/infer` })
  const answer = await inferAt('1')
  t.equal(answer.statusCode, 200)
  t.equal(splitAnswer(answer).json.model_version, '1')
  isProblem(t, await inferAt('2'), 404, 'MODEL_UNKNOWN', { versions: ['1'] })
  isProblem(t, await h.inject({ url: '/v2/models/small/versions' }), 404, 'CONFIG_INVALID')
})

t.test('requests of a version count once against the rate limit', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 3 } })
  const status = async () => (await h.inject({ url: '/v2/models/small/versions/1' })).statusCode
  t.same([await status(), await status(), await status(), await status()], [200, 200, 200, 429])
})

t.test('a fault of the program is INTERNAL, and only the log has its message', async (t) => {
  const h = await harness(t)
  Object.defineProperty(h.engine, 'ready', {
    get() {
      throw new Error('weights at /secret/place')
    },
  })
  const answer = await h.inject({ url: '/v2/health/ready' })
  isProblem(t, answer, 500, 'INTERNAL')
  t.notMatch(answer.body, 'secret')
  t.match(h.log(), 'weights at /secret/place')
  t.match(h.log(), answer.json().requestId)
})
