import type { Command } from 'commander'
import type { LocalModel } from '../../client/index.ts'
import { bytesText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { withKeys } from '../input/key-store.ts'
import { type LocalOptions, MANIFEST_HELP, withModel } from '../input/local-model.ts'
import { withPins } from '../input/pins.ts'
import { withHeaders } from '../input/server.ts'
import { writeWhole } from '../output/write-file.ts'

interface KeygenOptions extends Omit<LocalOptions, 'manifest'> {
  readonly out: string
}

/** `polyveil keygen` */
export const keygenCommand = (): Command =>
  withPins(
    withHeaders(
      withKeys(
        command(
          'keygen',
          "make a model's key set for upload; the secret key stays in the directory",
        ).argument('<manifest>', MANIFEST_HELP),
      ),
    ),
  )
    .requiredOption('--out <file>', 'where to write the public and evaluation keys')
    .action(act(keygen))

async function keygen(context: CommandContext, manifest: string, options: KeygenOptions): Promise<Outcome> {
  const { out } = options
  context.progress.step('making keys')
  return withModel(context, { ...options, manifest }, async (model) => {
    await writeWhole(out, watched(model, context))
    const { digest, galoisElements } = model.manifest
    const bytes = model.sizes.keys
    const parametersDigest = model.parameters.digest
    return {
      document: {
        manifest: digest,
        parameters: parametersDigest,
        galoisKeys: galoisElements.length,
        bytes,
        out,
        // What POST /v2/keys takes.
        announcement: { parametersDigest, bytes, galoisElements: [...galoisElements].sort((a, b) => a - b) },
      },
      text: `${out}: ${bytesText(bytes)}, a public key, a relinearisation key and ${galoisElements.length} Galois keys`,
    }
  })
}

async function* watched(model: LocalModel, { progress, signal }: CommandContext): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const chunk of model.keySet()) {
    signal.throwIfAborted()
    done += chunk.length
    progress.update(done, model.sizes.keys)
    yield chunk
  }
}
