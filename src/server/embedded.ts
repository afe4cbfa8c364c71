import { ImageBudget } from './access/image-budget.ts'
import { localHost } from './execution/local-host.ts'
import { inDataDirectory, keyDirectory, MINUTE_MILLISECONDS, openKeyStore } from './key-store-settings.ts'
import { startEngine } from './local-engine.ts'
import type { ServiceBase, ServiceParts } from './service-parts.ts'
import { type DiskStorage, openDiskStorage } from './stores/disk-storage.ts'
import { StateDatabase } from './stores/state-database.ts'
import { StorageHealth } from './stores/storage-health.ts'

/** The parts of a service in one process. They lock the data directory until they are closed. */
export async function openEmbedded(base: ServiceBase): Promise<ServiceParts> {
  const storage = new StorageHealth(base.logger)
  const state = await StateDatabase.open(base.config.dataDir, storage)
  try {
    return await partsOn(state, storage, base)
  } catch (error) {
    storage.close()
    state.close()
    throw error
  }
}

async function partsOn(
  state: StateDatabase,
  storage: StorageHealth,
  base: ServiceBase,
): Promise<ServiceParts> {
  const { config } = base
  const keySets = await openKeySets(state, storage, base)
  const keys = await openKeyStore(base, keySets)
  const engine = await startEngine(base)
  return {
    keys,
    storage,
    engine,
    host: localHost(engine, config),
    budget: new ImageBudget(state),
    backup: { dataDir: config.dataDir, state, files: keySets.bytes },
    close: async () => {
      await keys.close()
      storage.close()
      state.close()
    },
  }
}

function openKeySets(
  state: StateDatabase,
  health: StorageHealth,
  { config, logger: log }: ServiceBase,
): Promise<DiskStorage> {
  const uploadsUntil = Date.now() + config.keyUploadMinutes * MINUTE_MILLISECONDS
  const options = { log, health, uploadsUntil }
  return inDataDirectory(config, () => openDiskStorage(keyDirectory(config), state.keySets, options))
}
