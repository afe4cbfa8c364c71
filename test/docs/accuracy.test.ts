import { cpSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { zooPath } from '../cli/support.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { code, project, shell } from './support.ts'

t.test('the command of docs/models.md measures accuracy', async (t) => {
  const [command] = code('docs/models.md', '## Accuracy on labelled images', 'sh')
  const directory = project(t)
  const models = join(directory, 'models')
  await writeDigitsOfFewKeys(models)
  renameSync(join(models, 'digits.pvc'), join(models, 'mine.pvc'))
  for (const name of ['network.pt', 'network.json']) cpSync(zooPath(`digits/${name}`), join(directory, name))
  for (const label of ['2', '4']) {
    mkdirSync(join(directory, 'photos', label), { recursive: true })
    cpSync(zooPath(`digits/images/digits-${label}-0.png`), join(directory, 'photos', label, 'photo.png'))
  }
  const ran = await shell(directory, command)
  t.equal(ran.code, 0, ran.stderr)
  t.match(ran.stdout, /^2 images of 10 classes\n[\s\S]*\nencrypted \(simd\) +2 +100\.0 %/)
})
