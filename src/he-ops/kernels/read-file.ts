// Node alone: loaded when it is used, and left out of what is bundled for browsers (`browser` in
// package.json).
export { readFile } from 'node:fs/promises'
