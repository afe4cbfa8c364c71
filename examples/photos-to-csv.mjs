// Classifies all pictures of a folder and writes a CSV file with one line for each: its file, label, score and error.
// A model that was compiled with --batch N takes N pictures in one query. All pictures are held in memory.
// In a project with `npm install polyveil sharp`:
// node photos-to-csv.mjs FOLDER OUT.csv [URL] [MODEL]
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, directoryKeyStore } from 'polyveil/client'

const end = (status, message) => {
  console.error(message)
  process.exit(status)
}
const [folder, out, url = 'http://127.0.0.1:8080', model = 'digits'] = process.argv.slice(2)
if (out === undefined) end(2, 'Usage: node photos-to-csv.mjs FOLDER OUT.csv [URL] [MODEL]')
process.on('uncaughtException', ({ message }) => end(1, message))

const files = (await readdir(folder))
  .filter((name) => /\.(png|jpe?g|webp|avif|gif|tiff?)$/i.test(name))
  .sort()
const images = await Promise.all(files.map((name) => readFile(join(folder, name))))

const polyveil = await connect(url, { keys: directoryKeyStore('keys'), token: process.env.POLYVEIL_TOKEN })
const { batch } = await polyveil.manifest(model)
console.log(`${files.length} pictures, ${batch} in a query`)

// A picture that cannot be read has an error of its own. One on which the network diverges has no label, and
// those in its query have none either.
const results = await polyveil.classifySettled(model, images, { topK: 1 })
await polyveil.close()

const rows = results.map((result, k) => {
  if (result.status === 'rejected') return [files[k], '', '', result.reason.code]
  const [{ label, score }] = result.value
  return [files[k], label, score.toFixed(4), '']
})
const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
const lines = [['file', 'label', 'score', 'error'], ...rows].map((row) => row.map(field).join(','))
await writeFile(out, `${lines.join('\r\n')}\r\n`)
