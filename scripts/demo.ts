import { connect, memoryKeyStore } from '../src/client/index.ts'
import { bundledNetworks } from '../src/models/index.ts'
import { buildIfStale } from './building/build.ts'
import { type Classified, classifyAll, provideKeys } from './demo/classify.ts'
import { demoOptions } from './demo/options.ts'
import { allWell, imageText, keysText, type Report, summary } from './demo/report.ts'
import { type DemoServer, startServer } from './demo/server.ts'

// Classifies bundled images of both bundled networks under encryption over HTTP. Progress goes to stderr; the
// summary, or the report with --json, goes to stdout.

/** Number of images of each network, unless --all is given. */
const FEW = 2

// The flags are read before the build, so that help and unknown flags are answered at once.
const options = demoOptions(process.argv.slice(2))
const say = (line: string): void => console.error(line)

await buildIfStale(say)
const server = await startServer()
try {
  say(`server with the bundled networks at ${server.url}`)
  const report = await demonstrate(server, options.all ? Infinity : FEW)
  console.log(options.json ? JSON.stringify(report) : `\n${summary(report)}`)
  process.exitCode = report.ok ? 0 : 1
} finally {
  await server.stop()
}

async function demonstrate({ url, peakBytes }: DemoServer, count: number): Promise<Report> {
  await using polyveil = await connect(url, { keys: memoryKeyStore() })
  const images: Classified[] = []
  const keyBytes: Record<string, number> = {}
  let uploadedKeyBytes = 0
  for (const network of bundledNetworks()) {
    say(`${network.name}: ${network.config.labels?.length} classes, ${network.images.length} bundled images`)
    const keys = await provideKeys(polyveil, network.name)
    say(keysText(network.name, keys))
    keyBytes[network.name] = keys.bytes
    uploadedKeyBytes += keys.uploadedBytes
    for await (const image of classifyAll(polyveil, network, count)) {
      say(imageText(image))
      images.push(image)
    }
  }
  return { ok: allWell(images), images, keyBytes, uploadedKeyBytes, serverPeakRssBytes: await peakBytes() }
}
