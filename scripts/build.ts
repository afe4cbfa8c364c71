import { build } from './building/build.ts'

await build((line) => console.error(line))
