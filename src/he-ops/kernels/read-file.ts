// Only for Node: loaded when it is used, and left out of browser bundles (`browser` in package.json).
export { readFile } from 'node:fs/promises'
