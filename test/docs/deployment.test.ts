import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { ROOT } from '../../scripts/building/paths.ts'
import { neededMegabytes } from '../../src/server/memory-need.ts'
import { polyveil } from '../cli/support.ts'
import { settingsOfImage } from '../docker/image.ts'
import { page } from './support.ts'

// No machine that runs the tests has Docker or Kubernetes. So these tests check what commands name.

const text = page('docs/deployment.md')
const commands = [...text.matchAll(/^ {4}((?:docker|kubectl) .+)$/gm)].map(([, line]) => line)

t.test('commands name files that there are, and containers that the files define', async (t) => {
  t.ok(commands.length >= 8, 'the search finds the commands')
  const { services } = parse(page('docker/compose.yaml')) as { services: Record<string, object> }
  for (const command of commands) {
    for (const [, file] of command.matchAll(/-[fk] (\S+)/g)) t.ok(existsSync(join(ROOT, file)), command)
    const [, service] = /^docker compose .* exec (\S+)/.exec(command) ?? []
    if (service) t.ok(service in services, command)
    const [, pod] = /^kubectl exec .* (\S+)-0 --/.exec(command) ?? []
    if (pod) t.equal(parse(page('deploy/kubernetes/statefulset.yaml')).metadata.name, pod, command)
  }
})

t.test('what runs in a container is a command of the program', async (t) => {
  const inside = commands.flatMap((command) => /node dist\/cli\/main\.js (.+)$/.exec(command)?.[1] ?? [])
  t.equal(inside.length, 3)
  for (const line of inside) {
    const ran = await polyveil([...line.split(' '), '--json', '--data', t.testdir({})])
    t.equal(ran.code, 0, ran.stderr)
    t.match(ran.json, { tenant: 'my-clinic' })
  }
})

t.test('ports and numbers are those of the files', async (t) => {
  const { POLYVEIL_PORT } = settingsOfImage().env
  t.match(text, `-p 127.0.0.1:8080:${POLYVEIL_PORT}`)
  const gigabytes = (neededMegabytes({ workers: 1, engineMegabytes: 4000 }) / 1000).toFixed(1)
  t.match(text, `With the default settings that is ${gigabytes} GB`)
})
