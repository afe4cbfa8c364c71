import type { InjectOptions } from 'fastify'
import t from 'tap'
import { announce, elements, harness, isProblem, query, uploadKeys } from './support.ts'

const BYTES = { 'content-type': 'application/octet-stream' }
const SECRET = 'k'.repeat(43)

/** Words of the validating library, of its types and of the program's own parts. */
const FOREIGN = /undefined|Invalid input|expected \w+, received|NaN|params|headers\./

t.test(
  'the detail of a malformed request is a sentence with the place, what is there and what belongs there',
  async (t) => {
    const h = await harness(t)
    const part = (headers: object): InjectOptions => ({
      method: 'PUT',
      url: '/v2/keys',
      headers: { ...BYTES, ...headers },
    })
    const cases: [InjectOptions, field: string, detail: string][] = [
      [
        part({ 'polyveil-key-set': 'k' }),
        'headers.upload-offset',
        'The header Upload-Offset is missing; it is the offset in bytes at which the part begins in the key set',
      ],
      [
        part({ 'upload-offset': '0' }),
        'headers.polyveil-key-set',
        'The header PolyVeil-Key-Set is missing; it is the id that POST /v2/keys answered, which is a secret',
      ],
      [
        part({ 'polyveil-key-set': 'k', 'upload-offset': '0x0' }),
        'headers.upload-offset',
        'The header Upload-Offset is "0x0"; it must be a whole number from 0 to 1000000000000, in decimal digits without leading zeros',
      ],
      [
        part({ 'polyveil-key-set': SECRET.repeat(3), 'upload-offset': '0' }),
        'headers.polyveil-key-set',
        'The header PolyVeil-Key-Set has 129 characters; it must have at most 128 characters',
      ],
      [
        query('k', { headers: { 'inference-header-content-length': '65537' } }),
        'headers.inference-header-content-length',
        'The header Inference-Header-Content-Length is "65537"; it must be a whole number from 1 to 65536, in decimal digits without leading zeros',
      ],
      [
        { url: `/v2/inferences/${'i'.repeat(65)}` },
        'params.id',
        'The path parameter id has 65 characters; it must have at most 64 characters',
      ],
      [
        query('k', { header: { parameters: { key_set: SECRET } } }),
        'parameters.manifest_digest',
        'The field parameters.manifest_digest of the JSON header is missing; it is the digest of the manifest that the image was encrypted for',
      ],
      [
        query('k', { header: { parameters: { key_set: 5, manifest_digest: 'd' } } }),
        'parameters.key_set',
        'The field parameters.key_set of the JSON header is 5; it must be text',
      ],
      [
        query('k', { header: { id: 'a b' } }),
        'id',
        'The field id of the JSON header is "a b"; it must have 1 to 64 letters, digits, - or _',
      ],
      [
        query('k', { header: { inputs: [] } }),
        'inputs',
        'The field inputs of the JSON header is a list of 0; it must have at least 1 item',
      ],
      [
        query('k', { header: { inputs: [{ name: 'picture' }] } }),
        'inputs.0.name',
        'The field inputs.0.name of the JSON header is "picture"; it must be "image"',
      ],
    ]
    for (const [request, field, detail] of cases) {
      const answer = await h.inject(request)
      isProblem(t, answer, 400, 'CONFIG_INVALID', { field })
      t.equal(answer.json().detail, detail)
      t.notMatch(detail, FOREIGN)
      t.notMatch(answer.body, SECRET, 'a secret is not repeated')
    }
  },
)

t.test('only decimal digits without leading zeros are a round', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  await h.inject(query(keys, { header: { id: 'mine' } }))
  for (const text of ['0x0', '1e3', '00', '+1', '-1', '1.0', '%200', '65536', 'one']) {
    const answer = await h.inject({
      url: `/v2/inferences/mine/rounds/${text}`,
      headers: { 'polyveil-key-set': keys },
    })
    isProblem(t, answer, 400, 'CONFIG_INVALID', { field: 'params.round' })
    t.match(answer.json().detail, 'it must be a whole number from 0 to 65535, in decimal digits')
  }
})

t.test('the detail of a malformed announcement is a sentence', async (t) => {
  const h = await harness(t)
  const cases: [object, field: string, detail: string][] = [
    [{ bytes: '12' }, 'body.bytes', 'The field bytes of the body is "12"; it must be a whole number'],
    [{ bytes: 1.5 }, 'body.bytes', 'The field bytes of the body is 1.5; it must be a whole number'],
    [{ bytes: -5 }, 'body.bytes', 'The field bytes of the body is -5; it must be more than 0'],
    [{ bytes: null }, 'body.bytes', 'The field bytes of the body is null; it must be a whole number'],
    [
      { galoisElements: { 0: 5 } },
      'body.galoisElements',
      'The field galoisElements of the body is an object; it must be a list',
    ],
    [
      { galoisElements: [...elements, 'x'] },
      `body.galoisElements.${elements.length}`,
      `The field galoisElements.${elements.length} of the body is "x"; it must be a whole number`,
    ],
    [{ secretKey: 'x' }, 'body', 'The body has an unknown member: "secretKey"'],
    [
      { parametersDigest: undefined },
      'body.parametersDigest',
      'The field parametersDigest of the body is missing; it is the digest of the encryption parameters',
    ],
  ]
  for (const [change, field, detail] of cases) {
    const answer = await announce(h, change)
    isProblem(t, answer, 400, 'CONFIG_INVALID', { field })
    t.equal(answer.json().detail, detail)
  }
  const bodies: [string, string][] = [
    ['[1]', 'The body is a list of 1; it must be a JSON object'],
    ['null', 'The body is missing; it must be a JSON object'],
    ['{"bytes":', 'The body is not valid JSON'],
    ['', 'The body is empty, and its content type announces JSON'],
  ]
  for (const [payload, detail] of bodies) {
    const headers = { 'content-type': 'application/json' }
    const answer = await h.inject({ method: 'POST', url: '/v2/keys', headers, payload })
    isProblem(t, answer, 400, 'CONFIG_INVALID')
    t.equal(answer.json().detail, detail)
  }
  const none = await h.inject({ method: 'POST', url: '/v2/keys' })
  isProblem(t, none, 400, 'CONFIG_INVALID', { field: 'body' })
  t.equal(none.json().detail, 'The body is missing; it must be a JSON object')
})
