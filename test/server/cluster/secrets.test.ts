import { Writable } from 'node:stream'
import t from 'tap'
import { SharedRedis } from '../../../src/server/cluster/exchange/redis.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { needsRedis, RedisServer } from '../../support/redis.ts'

/** A log, and what was written to it. */
function recorded() {
  const lines: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  return { log: createLogger('trace', stream), text: () => lines.join('') }
}

t.test('an error of Redis is logged without its command', needsRedis, async (t) => {
  await using redis = await RedisServer.start()
  const { log, text } = recorded()
  const commands = redis.connect()
  await commands.set('text', '1')
  await commands.lpush('text', 'stored-secret').catch((err) => log.warn({ err }, 'It failed'))
  t.match(text(), /WRONGTYPE/)
  t.notMatch(text(), 'stored-secret')
})

t.test('the password of Redis is in no log and no error', needsRedis, async (t) => {
  await using redis = await RedisServer.start()
  const { log, text } = recorded()
  const admin = redis.connect()
  await admin.config('SET', 'requirepass', 'right-password')
  const url = (password: string): string => redis.url.replace('//', `//:${password}@`)
  const error = await SharedRedis.open(url('wrong-password'), 'test', log).catch((error) => error)
  t.match(error, { code: 'CONFIG_INVALID' })
  log.error({ err: error }, 'It failed')
  t.notMatch(JSON.stringify(error), 'wrong-password')
  const shared = await SharedRedis.open(url('right-password'), 'test', log)
  await admin.config('SET', 'requirepass', 'new-password')
  await admin.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  while (!text().includes('Redis cannot be reached')) await new Promise((resolve) => setTimeout(resolve, 20))
  shared.close()
  t.notMatch(text(), /(wrong|right|new)-password/)
})
