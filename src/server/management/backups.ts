import { z } from 'zod'
import { responses } from '../openapi/response-schemas.ts'
import { conflict } from '../problems/http-error.ts'
import type { App } from '../services.ts'
import { BACKUP_NAME } from '../stores/backup.ts'
import type { ManagementOptions } from './options.ts'

const backupSchema = z
  .object({
    path: z.string().describe('The directory of the backup on the disk of the server'),
    keySets: z.int().nonnegative().describe('Complete key sets in it'),
    bytes: z.int().nonnegative().describe('Bytes of these'),
    leftOut: z
      .int()
      .nonnegative()
      .describe('Key sets whose upload is incomplete, or that were deleted meanwhile'),
    tenants: z.int().nonnegative(),
  })
  .meta({ id: 'Backup' })

export type BackupMade = z.infer<typeof backupSchema>

/** Backups of the data directory, below the directory that the settings name. */
export function backupRoutes(
  app: App,
  { services: { keys, audit }, backups }: Pick<ManagementOptions, 'services' | 'backups'>,
): void {
  app.post(
    '/backup',
    {
      schema: {
        tags: ['backup'],
        operationId: 'backUp',
        summary: 'Make a backup of the data directory; the answer comes when it is complete',
        body: z.strictObject({
          directory: z
            .string()
            .regex(BACKUP_NAME, 'must be one name: letters, digits, dots, - and _, at most 100')
            .describe('The new directory for it, below backupDir'),
        }),
        response: responses({ 201: backupSchema }, 409, 507),
      },
    },
    async (request, reply) => {
      if (backups === undefined) throw noDirectory()
      const { directory } = request.body
      audit('backup begun by an operator', request, { directory })
      await keys.saveUses()
      const backup = await backups.make(directory)
      request.log.info(backup, 'A backup was made')
      return reply.code(201).send(backup)
    },
  )
}

const noDirectory = () =>
  conflict('CONFIG_INVALID', 'The service has no setting backupDir, and makes no backups')
