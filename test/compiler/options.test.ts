import t from 'tap'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import { golden } from './harness.ts'

const { network, images } = await golden('one_shot')
const refused = (options: object): (() => unknown) => {
  const given = { model: 'x', preprocessing: network.config.preprocessing, ...options } as CompileOptions
  return () => compile(network, given)
}

t.test('options that do not exist, and numbers out of range, are named', async (t) => {
  const cases: [object, RegExp][] = [
    [{ objective: 'speed' }, /^objective is speed; it is one of latency, traffic, keys/],
    [{ refresh: 'sometimes' }, /^refresh is sometimes; it is one of auto, never, client, server/],
    [{ offlineClient: 'yes' }, /^offlineClient is yes; it is true or false/],
    [{ target: 'cpu' }, /^target is cpu/],
    [{ precisionBits: Number.NaN }, /^precisionBits is NaN/],
    [{ precisionBits: -1 }, /^precisionBits is -1/],
    [{ maxPrimeBits: 20.5 }, /^maxPrimeBits is 20.5/],
    [{ link: { roundTripMs: -5, megabitsPerSecond: 10 } }, /^link.roundTripMs is -5/],
    [{ link: { roundTripMs: 5, megabitsPerSecond: 0 } }, /^link.megabitsPerSecond is 0/],
    [{ rings: [131072] }, /^Ring 131072 is not one of 8192, 16384, 32768, 65536/],
    [{ rings: [65536], target: 'seal' }, /^Target seal has rings up to 32768, not 65536/],
    [{ rings: [] }, /^No ring is given/],
    [
      { refresh: 'server', batch: 2 },
      /^A server restores the levels of one image in a ciphertext, .* batch of 2/,
    ],
    [
      { refresh: 'server', rings: [8192, 16384] },
      /restores levels in the rings 32768 and 65536, and not in 8192, 16384/,
    ],
    [
      { refresh: 'client', offlineClient: true },
      /^A client that is offline .*--offline-client.* cannot refresh values \(--refresh client\)/,
    ],
    [{ refresh: 'server', target: 'seal' }, /^Circuits for the engine seal cannot restore levels/],
    [
      { calibration: [images[0], images[1].subarray(1)] },
      /^Calibration image 1 has \d+ values; the network takes 3 x \d+ x \d+ = \d+/,
    ],
  ]
  for (const [options, message] of cases) {
    t.throws(refused(options), { code: 'CONFIG_INVALID', message }, JSON.stringify(options).slice(0, 60))
  }
})

t.test('remedies for an offline client do not ask it for refreshes', async (t) => {
  const remedyOf = (options: object): string => {
    try {
      refused({ refresh: 'server', batch: 2, ...options })()
    } catch (error) {
      return (error as { remedy: string }).remedy
    }
    return ''
  }
  t.match(remedyOf({}), /--batch 1.*--refresh client/)
  t.match(remedyOf({ offlineClient: true }), /--batch 1.*--refresh never/)
})
