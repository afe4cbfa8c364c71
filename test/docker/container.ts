import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Image } from './image.ts'

/** Folders of the machine that take the place of the base image. */
const BASE = ['usr', 'bin', 'lib', 'lib64', 'proc', 'dev', 'sys']
const NODE = '/opt/node'

/**
 * Makes the file system of a container in a mount namespace, and executes a command there: the root and the
 * base are read-only, the volume can be written, and the user has no capabilities. Arguments: the root, the
 * Node, the folder of the volume, the volume, the user, the group, the working directory, then the command.
 * NODE_OPTIONS is what tap gives to processes of tests.
 */
const SCRIPT = `
root=$1 node=$2 kept=$3 volume=$4 user=$5 group=$6 workdir=$7; shift 7
mount --make-rprivate /
mount --bind "$root" "$root"
for folder in ${BASE.join(' ')}; do
  if [ -d /$folder ]; then mount --rbind /$folder "$root/$folder"; fi
done
mount -o remount,ro,bind "$root/usr"
mount --bind "$node" "$root${NODE}/node"
mount --bind "$kept" "$root$volume"
mount -o remount,ro,bind "$root"
exec /usr/sbin/chroot "$root" /usr/bin/setpriv --reuid "$user" --regid "$group" --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all /usr/bin/env -u NODE_OPTIONS -C "$workdir" "$@"
`

export interface Executed {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A container of an image with an empty volume. It has the network of the machine. */
export class Container {
  readonly #image: Image
  readonly #arguments: readonly string[]
  readonly #env: NodeJS.ProcessEnv

  /**
   * @param folder where the files of the volume are kept
   * @param settings environment variables beside those of the image
   */
  constructor(image: Image, folder: string, settings: Readonly<Record<string, string>>) {
    const { root, workdir, user, volumes } = image
    for (const name of [...BASE, NODE]) mkdirSync(join(root, name), { recursive: true })
    writeFileSync(join(root, NODE, 'node'), '')
    const [volume] = volumes
    // A new volume has the content and the owner that the image gives it.
    const kept = join(folder, 'volume')
    spawnSync('cp', ['-a', join(root, volume), kept])
    const [uid, gid] = user.split(':')
    this.#image = image
    this.#arguments = [root, realpathSync(process.execPath), kept, volume, uid, gid, workdir]
    this.#env = { PATH: `${NODE}:/usr/bin:/bin`, ...image.env, ...settings }
  }

  /** Starts the entry point. */
  start(...flags: string[]): ChildProcess {
    return this.#spawn([...this.#image.entrypoint, ...flags])
  }

  /** The exit code of the health check. */
  async health(): Promise<number | null> {
    return (await this.execute(...this.#image.healthcheck)).code
  }

  /** Runs a command as `docker exec` does. */
  async execute(...command: string[]): Promise<Executed> {
    const child = this.#spawn(command)
    const ended = once(child, 'close') as Promise<[number | null]>
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), ended])
    return { code, stdout, stderr }
  }

  #spawn(command: readonly string[]): ChildProcess {
    const args = ['--mount', 'sh', '-euc', SCRIPT, 'sh', ...this.#arguments, ...command]
    return spawn('unshare', args, { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] })
  }
}
