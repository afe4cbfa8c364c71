import type { Services } from './services.ts'

/** Whether the service takes inferences and key sets. */
export const isReady = ({
  engine,
  intake,
  storage,
  tenants,
}: Pick<Services, 'engine' | 'intake' | 'storage' | 'tenants'>): boolean =>
  engine.ready && intake.isOpen && storage.isWritable && (tenants?.isCurrent ?? true)
