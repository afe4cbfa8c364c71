import { requireNode } from './node-version.ts'

// Entry points import this module before any other, so that an old Node is told at the import and not by a
// WebAssembly error in the middle of the work. Browsers have no version of Node and pass.

requireNode(globalThis.process?.versions?.node)
