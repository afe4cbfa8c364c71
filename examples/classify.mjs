// Classifies an image on a server that never sees it. In a project with `npm install polyveil sharp`:
// node classify.mjs photo.png [URL] [MODEL]
import { readFile } from 'node:fs/promises'
import { connect, directoryKeyStore } from 'polyveil/client'

const end = (status, message) => {
  console.error(message)
  process.exit(status)
}
const [file, url = 'http://127.0.0.1:8080', model = 'digits'] = process.argv.slice(2)
if (file === undefined) end(2, 'Usage: node classify.mjs IMAGE [URL] [MODEL]')
process.on('uncaughtException', ({ message }) => end(1, message))

const polyveil = await connect(url, { keys: directoryKeyStore('keys'), token: process.env.POLYVEIL_TOKEN })
const [best] = await polyveil.classify(model, await readFile(file), { topK: 1 })
console.log(`${best.label}: ${(100 * best.score).toFixed(1)} %`)
await polyveil.close()
