import type { Circuit, InputSpec } from '../../circuit/index.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type Network, referenceForward } from '../../models/index.ts'
import { networkInput } from '../../preprocessing/index.ts'
import { clearBackend } from '../verification/clear.ts'
import { runSeparating } from '../verification/in-range.ts'
import type { Side } from './side.ts'

/** Computes the circuit on plain numbers. @throws TOO_LARGE as `clearBackend` */
export function circuitSide(circuit: Circuit): Side {
  const backend = clearBackend(circuit)
  return {
    size: circuit.batch,
    run: async (images) =>
      (
        await runSeparating(
          backend,
          images.map(({ tensor }) => tensor),
          () => {},
        )
      ).logits,
  }
}

/**
 * Computes the network of a checkpoint in floating point.
 *
 * @param model that the network must be the source of
 * @throws CONFIG_INVALID when its input or its classes are others than the model's
 */
export function referenceSide(
  network: Network,
  model: { readonly input: InputSpec; readonly classes: number },
): Side {
  const [, height, width] = model.input.image
  if (network.height !== height || network.width !== width || network.classes !== model.classes) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The checkpoint's network takes ${network.height}x${network.width} and has ${network.classes} classes; ` +
        `the model takes ${height}x${width} and has ${model.classes}`,
      {},
      { remedy: 'Give the checkpoint and the config that the circuit was compiled from.' },
    )
  }
  return {
    size: 1,
    run: async (images) => images.map(({ tensor }) => referenceForward(network, networkInput(tensor))),
  }
}
