import { requireNode } from './node-version.ts'

// Entry points import this module before any other, so that an old Node fails at the import with a sentence,
// and not later with a WebAssembly error. Browsers have no version of Node and pass.

requireNode(globalThis.process?.versions?.node)
