import { type Command, Option } from 'commander'
import type { ConnectOptions, ManifestChange, PinPolicy } from '../../client/index.ts'
import { changeText } from '../../client/pins/change.ts'
import type { Progress } from '../output/progress.ts'

/**
 * Option for manifests that differ from the pin in the key directory.
 */
export interface PinFlags {
  readonly pins: PinPolicy
}

export const withPins = (command: Command): Command =>
  command.addOption(
    new Option(
      '--pins <what>',
      'when the model has another manifest than the key directory remembers: warn and take it, refuse it, or off',
    )
      .choices(['warn', 'refuse', 'off'])
      .default('warn'),
  )

/** Reports a changed manifest on stderr, also with `--quiet`. @param onChange called as well */
export function pinOptions(
  { pins }: PinFlags,
  progress: Progress,
  onChange?: (change: ManifestChange) => void,
): Pick<ConnectOptions, 'pins' | 'onManifestChange'> {
  return {
    pins,
    onManifestChange: (change) => {
      progress.warn(`warning: ${changeText(change)}`)
      onChange?.(change)
    },
  }
}
