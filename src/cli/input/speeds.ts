import { mkdir, readFile } from 'node:fs/promises'
import { arch, cpus, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { type KernelSpeeds, measureKernelSpeeds } from '../../he-ops/simd/index.ts'
import { VERSION } from '../../version.ts'
import { writeWhole } from '../output/write-file.ts'

const seconds = z.number().positive().max(1)
const cacheSchema = z.object({
  machine: z.string(),
  speeds: z.object({ ntt: seconds, multiplyAdd: seconds, gather: seconds, elementwise: seconds }),
})

/** Key of measured speeds: they differ by processor, Node and version of the kernels. */
const machineName = (): string =>
  [cpus()[0]?.model.trim() ?? 'unknown', arch(), process.version, VERSION].join('; ')

/** Path of the file of measured speeds, by the XDG base directory specification. */
export const speedsFile = (): string =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'polyveil', 'kernel-speeds.json')

/**
 * The kernels' speeds on this machine, which are measured once in about half a second and kept in
 * `speedsFile`. A file that is missing, damaged or of another machine is replaced. If it cannot be written,
 * speeds are measured each time.
 */
export async function kernelSpeeds(): Promise<KernelSpeeds> {
  const file = speedsFile()
  const kept = await readKept(file)
  if (kept !== undefined) return kept
  const speeds = await measureKernelSpeeds()
  const bytes = Buffer.from(`${JSON.stringify({ machine: machineName(), speeds }, null, 2)}\n`)
  await mkdir(dirname(file), { recursive: true })
    .then(() => writeWhole(file, bytes))
    .catch(() => {})
  return speeds
}

async function readKept(file: string): Promise<KernelSpeeds | undefined> {
  try {
    const { machine, speeds } = cacheSchema.parse(JSON.parse(await readFile(file, 'utf8')))
    return machine === machineName() ? speeds : undefined
  } catch {
    return undefined
  }
}
