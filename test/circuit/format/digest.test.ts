import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import { createDigest, digestOf } from '../../../src/circuit/format/digest.ts'

const bytes = Uint8Array.from({ length: 100_003 }, (_, i) => (i * i + 7) % 251)

t.test("Node's hash is used, and gives the digest that browsers compute", async (t) => {
  const digest = createDigest()
  t.equal(digest.constructor.name, 'Hash')
  for (let offset = 0; offset < bytes.length; offset += 999)
    digest.update(bytes.subarray(offset, offset + 999))
  const expected = Buffer.from(sha256(bytes))
  t.ok(expected.equals(digest.digest()))
  t.ok(expected.equals(digestOf(bytes)))
})

t.test('without Node the hash in JavaScript is used', async (t) => {
  const { process } = globalThis
  Reflect.deleteProperty(globalThis, 'process')
  const elsewhere = '../../../src/circuit/format/digest.ts?browser'
  const module: typeof import('../../../src/circuit/format/digest.ts') = await import(elsewhere).finally(
    () => {
      globalThis.process = process
    },
  )
  t.not(module.createDigest().constructor.name, 'Hash')
  t.ok(Buffer.from(sha256(bytes)).equals(module.digestOf(bytes)))
})
