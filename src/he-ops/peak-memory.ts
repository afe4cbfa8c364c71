import { readFileSync } from 'node:fs'

/**
 * Peak resident memory of this process, in bytes. Read from /proc where it exists: in a forked process
 * `resourceUsage` returns the parent's peak if that was higher.
 */
export function peakResidentBytes(): number {
  return ownPeakBytes() ?? process.resourceUsage().maxRSS * 1024
}

function ownPeakBytes(): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    // Not Linux.
    return undefined
  }
}
