import t from 'tap'
import { ERROR_CODES } from '../../src/errors/index.ts'
import { configSchema } from '../../src/server/config.ts'
import { polyveil } from '../cli/support.ts'
import { harness } from '../server/support.ts'
import { page } from './support.ts'

const text = page('docs/operations.md')
const inCode = [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code)

t.test('docs/operations.md names settings that exist', async (t) => {
  const names = inCode.filter((code) => /^[a-z]+([A-Z][a-z]+)+$/.test(code))
  t.ok(names.length > 15, names.join())
  for (const name of names) t.ok(name in configSchema.shape, name)
})

t.test('docs/operations.md names error codes that exist', async (t) => {
  const codes = inCode.filter((code) => /^[A-Z]+_[A-Z_]+$/.test(code))
  t.ok(codes.length > 5, codes.join())
  for (const code of codes) t.ok(code in ERROR_CODES, code)
})

t.test('docs/operations.md names metrics that the service has', async (t) => {
  const h = await harness(t)
  const { body } = await h.inject({ url: '/metrics' })
  const names = inCode.filter((code) => code.startsWith('polyveil_'))
  t.ok(names.length > 1, names.join())
  for (const name of names) t.match(body, new RegExp(`^# TYPE ${name} `, 'm'), name)
})

t.test('docs/operations.md names flags that the command line has', async (t) => {
  const { stdout } = await polyveil(['tokens', 'create', '--help'])
  const flags = inCode.flatMap((code) => code.match(/--[a-z-]+/g) ?? [])
  t.ok(flags.length > 4, flags.join())
  for (const flag of flags) t.match(stdout.toString(), flag)
})
