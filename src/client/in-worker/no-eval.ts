import * as z from 'zod'

// Schemas that are made after this do not try to compile code at run time. The attempt is caught where a
// Content-Security-Policy forbids it, and browsers report it as a violation anyway.
z.config({ jitless: true })
