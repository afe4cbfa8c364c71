import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/format/file.ts'
import { startService } from '../cli/service.ts'
import { zooPath } from '../cli/support.ts'
import { circuit, MODEL, sizes } from '../server/refreshed-service.ts'
import { code, DOCUMENTED_URL, project, shell } from './support.ts'

// The commands of docs/http-api.md for a model with refresh rounds. The commands of the session that make the
// query run first.

const directory = project(t, { 'photo.png': readFileSync(zooPath('digits/images/digits-3-0.png')) })
mkdirSync(join(directory, 'models'))
writeFileSync(join(directory, 'models', 'refreshed.pvc'), writeCircuit(circuit))
const service = await startService(join(directory, 'data'), '--models', join(directory, 'models'))
t.teardown(() => service.stop())

t.test('the commands for refresh rounds in docs/http-api.md work', async (t) => {
  const session = code('docs/http-api.md', '## A session', 'sh').join('\n')
  const untilAnswer = session.slice(0, session.indexOf('length=$(grep'))
  const query = untilAnswer
    .replaceAll(DOCUMENTED_URL, service.url)
    .replaceAll('models/digits', `models/${MODEL}`)
    .replace(/^curl .*events.*$/m, '')
  const rounds = code('docs/http-api.md', '## Refresh rounds', 'sh').join('\n')
  const script = `${query}\nmanifest=manifest.json\n${rounds}\nnpx polyveil decrypt logits --manifest manifest.json --keys keys --json`
  const { code: status, stdout, stderr } = await shell(directory, script)
  t.equal(status, 0, stderr)
  t.match(stdout, '{"state":"refresh","round":0,"rounds":2}')
  t.match(stdout, '{"state":"refresh","round":1,"rounds":2}')
  t.equal(readFileSync(join(directory, 'refreshed')).length, sizes.rounds[1].up)
  t.equal(readFileSync(join(directory, 'logits')).length, sizes.response)
  t.match(stdout, /"classes":\[\{"label":"(left|right|neither)"/)
})
