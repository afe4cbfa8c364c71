import type { Logger } from 'pino'
import { keySetBytes } from '../wire/index.ts'
import { megabytes, type ServerConfig } from './config.ts'
import type { ServedModel } from './models/catalogue.ts'

type Limits = Pick<ServerConfig, 'maxKeySetMegabytes' | 'engineMegabytes'>
type Needs = Pick<ServedModel, 'name' | 'version' | 'manifest' | 'parameters' | 'memoryBytes'>

/** Warns of models that no client can use, because a setting is too small for their keys or their circuit. */
export function warnOfNeeds(models: readonly Needs[], limits: Limits, logger: Logger): void {
  const { maxKeySetMegabytes, engineMegabytes } = limits
  for (const { name: model, version, manifest, parameters, memoryBytes } of models) {
    const keySetMegabytes = inMegabytes(keySetBytes(parameters, manifest.galoisElements))
    const memoryMegabytes = inMegabytes(memoryBytes)
    if (keySetMegabytes > maxKeySetMegabytes) {
      logger.warn({ model, version, keySetMegabytes, maxKeySetMegabytes }, KEY_SETS)
    }
    if (memoryMegabytes > engineMegabytes) {
      logger.warn({ model, version, memoryMegabytes, engineMegabytes }, MEMORY)
    }
  }
}

const inMegabytes = (bytes: number): number => Math.ceil(bytes / megabytes(1))

const KEY_SETS =
  'Key sets of a model are larger than the service takes: no client can use it. Raise maxKeySetMegabytes.'
const MEMORY =
  'A model takes more engine memory than the setting allows: no client can use it. Raise engineMegabytes.'
