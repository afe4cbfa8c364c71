import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { circuitDigest } from '../../src/circuit/format/file.ts'
import { writeCircuit } from '../../src/circuit/index.ts'
import { planPage, planSubject } from '../../src/cli/output/plan-page/page.ts'
import { compile } from '../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import type { Say } from './build.ts'
import { bundledImages } from './bundled-images.ts'
import { CIRCUITS } from './paths.ts'

/**
 * Compiles each bundled network to dist/zoo/NAME.pvc, and writes its plan's page, which may be public. The
 * plan is measured on the bundled images.
 */
export async function compileZoo(say: Say): Promise<void> {
  await mkdir(CIRCUITS, { recursive: true })
  for (const bundled of bundledNetworks()) {
    const { name, checkpoint, config } = bundled
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const { labels, preprocessing } = config
    const calibration = await bundledImages(bundled)
    // The demo and the first tour explain one query and one answer, without rounds between them.
    const options = { model: name, labels, preprocessing, calibration, refresh: 'never' } as const
    const { circuit, plan } = compile(network, options)
    const bytes = writeCircuit(circuit)
    await writeFile(join(CIRCUITS, `${name}.pvc`), bytes)
    await writeFile(join(CIRCUITS, `${name}.html`), planPage(planSubject(circuit, circuitDigest(bytes))))
    say(`build: ${name}: ring ${plan.ring}, ${plan.rotations} rotations, ${plan.galoisKeys} Galois keys`)
  }
}
