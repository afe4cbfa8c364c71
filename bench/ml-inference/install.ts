import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { buildSubmission } from './build.ts'

// node bench/ml-inference/install.ts HARNESS
//
// Writes the stage programs and circuits to HARNESS/submission/build. Of the two scripts that the harness
// calls first, one builds OpenFHE, which its example needs, and one the submission; both have nothing left to
// do. Then run the harness as its README says.

const [harness] = process.argv.slice(2)
if (harness === undefined) throw new Error('Name the folder of a clone of the harness')
const root = resolve(harness)
await stat(join(root, 'harness', 'run_submission.py'))
await buildSubmission(root)
await mkdir(join(root, 'scripts'), { recursive: true })
for (const name of ['get_openfhe.sh', 'build_task.sh']) {
  const script = join(root, 'scripts', name)
  await writeFile(script, '#!/bin/sh\n# The programs in submission/build are complete.\nexit 0\n')
  await chmod(script, 0o755)
}
console.log(`The stages are in ${join(root, 'submission', 'build')}`)
