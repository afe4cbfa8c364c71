import t from 'tap'
import { release } from '../../src/client/release.ts'

t.test('released bytes have no memory any more', async (t) => {
  const whole = new Uint8Array(2 ** 20).fill(7)
  const frame = whole.subarray(100, 2 ** 19)
  release(frame)
  t.equal(frame.length, 0)
  t.equal(whole.buffer.byteLength, 0, 'nor has the buffer that they were in')
})

t.test('memory that others may use is left alone', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(8)).fill(7)
  release(shared)
  t.strictSame([...shared], Array(8).fill(7))
})
