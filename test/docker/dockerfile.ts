/** One instruction, such as `COPY --chown=1000:1000 src src`. */
export interface Instruction {
  readonly keyword: string
  /** Its flags, without the dashes. */
  readonly flags: Readonly<Record<string, string>>
  /** What follows the flags. */
  readonly text: string
}

/** The instructions from one FROM to the next. */
export interface Stage {
  readonly name?: string
  readonly instructions: readonly Instruction[]
}

/** The stages of a Dockerfile. */
export function stagesOf(dockerfile: string): Stage[] {
  const stages: { name?: string; instructions: Instruction[] }[] = []
  for (const instruction of instructionsOf(dockerfile)) {
    if (instruction.keyword === 'FROM') {
      const [, name] = / AS (\S+)$/.exec(instruction.text) ?? []
      stages.push({ name, instructions: [] })
    } else stages.at(-1)!.instructions.push(instruction)
  }
  return stages
}

function instructionsOf(dockerfile: string): Instruction[] {
  const lines = dockerfile
    .split('\n')
    .filter((line) => !/^\s*(#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
  return lines.map((line) => {
    const [, keyword, rest] = /^([A-Z]+)\s+(.+)$/.exec(line)!
    const [, flagText, text] = /^((?:--\S+\s+)*)(.+)$/.exec(rest)!
    const isCommand = keyword === 'HEALTHCHECK'
    const flags = Object.fromEntries(
      [...flagText.matchAll(/--([\w-]+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    )
    return { keyword, flags, text: isCommand ? text.replace(/^CMD /, '') : text }
  })
}

/** The pairs of ENV and LABEL, `NAME=value` or `NAME="some words"`. */
export const pairsIn = (text: string): Record<string, string> =>
  Object.fromEntries(
    [...text.matchAll(/([\w.]+)=(?:"([^"]*)"|(\S+))/g)].map(([, name, quoted, plain]) => [
      name,
      quoted ?? plain,
    ]),
  )

/** Whether a path of the repository is sent to the builder. The last pattern that matches decides. */
export function isSent(path: string, dockerignore: string): boolean {
  const patterns = dockerignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const last = patterns.findLast((pattern) => covers(pattern.replace('!', ''), path))
  return last === undefined || last.startsWith('!')
}

const covers = (pattern: string, path: string): boolean =>
  pattern === '*' || path === pattern || path.startsWith(`${pattern}/`)
