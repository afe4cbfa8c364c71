import { STAGES } from './stages.ts'

// One stage, in the harness's folder: node stage.ts NAME [SIZE]

const [name, size = '0'] = process.argv.slice(2)
const stage = STAGES[name]
if (stage === undefined)
  throw new Error(`There is no stage ${name}; they are ${Object.keys(STAGES).join(', ')}`)
await stage(process.cwd(), Number(size))
