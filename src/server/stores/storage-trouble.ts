import { PolyVeilError } from '../../errors/index.ts'
import { HttpError } from '../problems/http-error.ts'

/** Why nothing can be written: no room, a file system that cannot be written, no permission, a bad disk. */
export type StorageReason = 'full' | 'read-only' | 'permission' | 'fault'

const SENTENCES: Readonly<Record<StorageReason, string>> = {
  full: 'The disk of the server is full',
  'read-only': 'The disk of the server cannot be written',
  permission: 'The server may not write to its data directory',
  fault: 'The disk of the server has a fault',
}

const SYSTEM_CODES: Readonly<Record<string, StorageReason | undefined>> = {
  ENOSPC: 'full',
  EDQUOT: 'full',
  EROFS: 'read-only',
  EACCES: 'permission',
  EPERM: 'permission',
  EIO: 'fault',
}

/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const SQLITE_CODES: Readonly<Record<number, StorageReason | undefined>> = {
  3: 'permission',
  8: 'read-only',
  10: 'fault',
  13: 'full',
  14: 'permission',
}

/** Seconds after which a client may try again. */
const RETRY_SECONDS = 60
const REMEDY =
  'Try again after Retry-After. If it persists, tell the operator of the server, whose log names the fault of the disk.'

/** 507: the server cannot write to its disk now. The state before the request is unchanged. */
export class StorageTrouble extends HttpError {
  readonly reason: StorageReason

  constructor(reason: StorageReason, cause?: unknown) {
    const message = `${SENTENCES[reason]}; nothing can be stored now`
    super(507, 'TOO_BUSY', message, { reason, retryAfter: RETRY_SECONDS }, { cause, remedy: REMEDY })
    this.reason = reason
  }
}

/** The trouble that an error of the system or of SQLite tells; undefined for other errors. */
export function storageTrouble(cause: unknown): StorageTrouble | undefined {
  if (cause instanceof StorageTrouble) return cause
  const { code, errcode } = (cause ?? {}) as { code?: unknown; errcode?: unknown }
  const reason =
    (typeof errcode === 'number' ? SQLITE_CODES[errcode & 255] : undefined) ??
    (typeof code === 'string' ? SYSTEM_CODES[code] : undefined)
  return reason && new StorageTrouble(reason, cause)
}

const DESCRIPTOR_CODES: readonly unknown[] = ['EMFILE', 'ENFILE']

/**
 * The error to throw for one of the system or of SQLite: 507 for a trouble of the disk, and TOO_BUSY (503)
 * when this process, or the machine, has too many files and connections open. Other errors stay as they are.
 */
export function publicTrouble(cause: unknown): unknown {
  const { code } = (cause ?? {}) as { code?: unknown }
  return storageTrouble(cause) ?? (DESCRIPTOR_CODES.includes(code) ? tooManyOpen(cause) : cause)
}

const tooManyOpen = (cause: unknown): PolyVeilError =>
  new PolyVeilError('TOO_BUSY', 'The server has too many files and connections open', {}, { cause })
