import { readFileSync } from 'node:fs'

/**
 * The most memory that this process has had resident, in bytes. From the kernel's own account where there is
 * one: of a process that another one has forked, `resourceUsage` gives what the parent had, if that was more.
 */
export function peakResidentBytes(): number {
  return ownPeakBytes() ?? process.resourceUsage().maxRSS * 1024
}

function ownPeakBytes(): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
  } catch {
    // No Linux.
    return undefined
  }
}
