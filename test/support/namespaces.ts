import { spawnSync } from 'node:child_process'

/** Whether this process may make mount namespaces, in which tests see a file system as a container does. */
export const canUnshare = (): boolean =>
  process.platform === 'linux' &&
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0
