/** An error of the operating system, as Node raises it. */
export interface SystemError extends Error {
  /** For example ENOENT. */
  readonly code: string
  readonly syscall: string
  readonly path?: string
}

export const isSystemError = (cause: unknown): cause is SystemError =>
  cause instanceof Error && 'syscall' in cause && typeof (cause as { code?: unknown }).code === 'string'

const TROUBLES: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be used by this user',
  EPERM: 'may not be used by this user',
  EISDIR: 'is a directory where a file belongs',
  ENOTDIR: 'is a file, or lies below one, where a directory belongs',
  EEXIST: 'is there already, as something else',
  EROFS: 'lies on a file system that cannot be written',
  ENOSPC: 'lies on a disk that is full',
  ENAMETOOLONG: 'has a name that is too long',
  ELOOP: 'is a link that leads to itself',
}

const HARD_LINK_CODES = ['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP']

/** Whether a file system without hard links refused to make one. Linux says EPERM. */
const lacksHardLinks = (cause: unknown): boolean =>
  isSystemError(cause) && cause.syscall === 'link' && HARD_LINK_CODES.includes(cause.code)

/**
 * The reason why a file cannot be used, as the end of a sentence: "does not exist (ENOENT)".
 *
 * @param cause error of an operation on the file
 */
export function fileTrouble(cause: unknown): string {
  const code = (cause as { code?: unknown } | undefined)?.code
  if (typeof code !== 'string') return 'cannot be used'
  if (lacksHardLinks(cause)) {
    return `lies on a file system without hard links, such as FAT or a network share; choose another place (${code})`
  }
  return `${TROUBLES[code] ?? 'cannot be used'} (${code})`
}
