import type { Test } from 'tap'
import type { KeyStore } from '../../src/client/index.ts'

export const secret = Uint8Array.from({ length: 500 }, (_, i) => (i * 37 + 5) % 256)

export const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex')

/** Tests that every key store passes. @param store an empty store */
export async function behaves(t: Test, store: KeyStore): Promise<void> {
  t.equal(await store.get('a'), undefined)
  t.strictSame(await store.names(), [])
  await store.put('a', secret)
  t.equal(text(await store.get('a')), text(secret))
  await store.put('a', Uint8Array.of(1))
  t.strictSame(await store.get('a'), Uint8Array.of(1))
  t.strictSame(await store.add('a', Uint8Array.of(2)), Uint8Array.of(1), 'add keeps an existing entry')
  t.strictSame(await store.add('b/../c', Uint8Array.of(3)), Uint8Array.of(3))
  t.strictSame(await store.get('b/../c'), Uint8Array.of(3))
  const added = await Promise.all([4, 5, 6].map((byte) => store.add('d', Uint8Array.of(byte))))
  t.ok(
    added.every((bytes) => bytes[0] === added[0][0]),
    'one of several concurrent calls wins, and all return its value',
  )
  t.strictSame(await store.names(), ['a', 'b/../c', 'd'])
  await store.delete('b/../c')
  await store.delete('b/../c')
  t.equal(await store.get('b/../c'), undefined)
  t.strictSame(await store.names(), ['a', 'd'])
}
