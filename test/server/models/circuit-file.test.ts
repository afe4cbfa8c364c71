import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import {
  circuitDigest,
  HEADER_START,
  headerEnd,
  readOutline,
  writeCircuit,
} from '../../../src/circuit/format/file.ts'
import { manifestOf, manifestOfOutline, outlineOf } from '../../../src/circuit/manifest/manifest.ts'
import {
  readCheckedOutlineFile,
  readCircuitFile,
  readOutlineFile,
} from '../../../src/server/models/circuit-file.ts'
import { loadCatalogue } from '../../../src/server/models/model-directory.ts'
import { ServedCircuit } from '../../../src/server/worker/circuits.ts'
import { smallCircuit, spelledOut } from '../../circuit/circuits.ts'

const circuit = smallCircuit()
const { digest: manifestDigest } = manifestOf(circuit)
const bytes = writeCircuit(circuit)
const end = headerEnd(bytes, bytes.length)

/** Writes the circuit into a directory. @returns the directory and the path of the file */
async function stored(test: typeof t, content = bytes): Promise<{ directory: string; path: string }> {
  const directory = test.testdir()
  const path = join(directory, 'small.pvc')
  await writeFile(path, content)
  return { directory, path }
}

/** The file with a changed byte in its columns. @param isResealed whether the digest is made to fit */
function damaged(isResealed: boolean): Uint8Array {
  const changed = bytes.slice()
  changed[end + 3] ^= 1
  if (isResealed) changed.set(sha256(changed.subarray(0, -32)), changed.length - 32)
  return changed
}

t.test('readOutline reads the header and no byte after it', async (t) => {
  t.ok(end > HEADER_START && end < bytes.length - 32)
  const outline = readOutline(bytes.slice(0, end), bytes.length)
  t.strictSame(outline, outlineOf(circuit))
  t.equal(manifestOfOutline(outline).digest, manifestDigest)
  t.throws(() => readOutline(bytes.subarray(0, end - 8), bytes.length), { code: 'CONFIG_INVALID' })
  for (const length of [bytes.length - 1, bytes.length + 8]) {
    t.throws(() => readOutline(bytes, length), { code: 'CONFIG_INVALID', message: /length is not what/ })
  }
})

t.test('a file with damaged columns has an outline; only the checked reader refuses it', async (t) => {
  const { path } = await stored(t as typeof import('tap').t)
  const found = { outline: outlineOf(circuit), digest: circuitDigest(bytes) }
  t.strictSame(await readOutlineFile(path), found)
  t.strictSame(await readCheckedOutlineFile(path), found)
  await writeFile(path, damaged(false))
  t.strictSame(await readOutlineFile(path), found)
  await t.rejects(readCheckedOutlineFile(path), { code: 'CONFIG_INVALID', message: /digest/ })
})

t.test('loadCatalogue reads headers: it neither decodes nor keeps operations and constants', async (t) => {
  // Decoding these columns fails.
  const { directory, path } = await stored(t as typeof import('tap').t, damaged(true))
  await t.rejects(readCircuitFile(path))
  const [model] = (await loadCatalogue(directory)).all
  t.equal(model.manifest.digest, manifestDigest)
  await writeFile(path, damaged(false))
  await t.rejects(loadCatalogue(directory), { code: 'CONFIG_INVALID' })
})

t.test('files that are too short or too long are refused', async (t) => {
  for (const length of [0, 5, HEADER_START, end, bytes.length - 1]) {
    const { path } = await stored(t as typeof import('tap').t)
    await truncate(path, length)
    await t.rejects(readOutlineFile(path), { code: 'CONFIG_INVALID' }, `${length} bytes`)
  }
  const { path } = await stored(t as typeof import('tap').t)
  await appendFile(path, new Uint8Array(8))
  await t.rejects(readOutlineFile(path), { code: 'CONFIG_INVALID', message: /length/ })
})

t.test('a worker reads a circuit when it needs it, and refuses a file that has changed', async (t) => {
  const { path } = await stored(t as typeof import('tap').t)
  const served = await ServedCircuit.open({ path, digest: circuitDigest(bytes) })
  const first = await served.read()
  t.strictSame(spelledOut(first), circuit)
  t.equal(await served.read(), first, 'all holders share one circuit')
  t.ok((await readFile(path)).equals(bytes))
  await t.rejects(ServedCircuit.open({ path, digest: 'f'.repeat(64) }), { code: 'MODEL_UNAVAILABLE' })

  const late = await ServedCircuit.open({ path, digest: circuitDigest(bytes) })
  const constants = circuit.constants.map((_, i) => Float64Array.of(0.5 + i))
  for (const changed of [damaged(true), writeCircuit({ ...circuit, constants })]) {
    await writeFile(path, changed)
    await t.rejects(late.read(), { code: 'MODEL_UNAVAILABLE' })
  }
  t.equal(await served.read(), first)
})
