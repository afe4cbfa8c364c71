import type { Argument, Command, Option } from 'commander'
import { code, GENERATED, markdownTable } from './markdown.ts'

const INTRODUCTION = `# Command line

\`polyveil\` is the package's command. \`npx polyveil\` runs it, in a clone after \`npm ci\` and in a project that has the package
installed. [Getting started](getting-started.md) uses the commands in order. [The service's settings](configuration.md) and
[the errors](errors.md) have pages of their own.

## Output and exit codes

Results go to stdout. Progress goes to stderr: a bar on a terminal, plain lines elsewhere. Every command takes three options:

| option | meaning |
| --- | --- |
| \`--json\` | Print exactly one JSON document on stdout. |
| \`--quiet\` | Print no progress on stderr. |
| \`--help\` | Print the usage, arguments and options. |

| exit code | meaning |
| --- | --- |
| 0 | The command is done. |
| 1 | The check failed: a verification does not hold, or an accuracy is too low. |
| 2 | The usage is wrong. |
| 3 | An input is bad. |
| 4 | The network does not fit the budget. |
| 5 | The server or the network connection failed. |

## Environment variables

| variable | meaning |
| --- | --- |
| \`POLYVEIL_PASSPHRASE\` | The passphrase under which key directories (\`--keys\`) are encrypted. |
| \`POLYVEIL_DEBUG=1\` | Errors inside PolyVeil are printed with their stack. |
| \`XDG_CACHE_HOME\` | The directory in which \`compile\` caches measured kernel speeds (default: \`~/.cache\`). |
| \`POLYVEIL_...\` | Settings of \`polyveil serve\`: [configuration](configuration.md). |`

/** Options of every command, which the introduction describes. */
const COMMON = ['--json', '--quiet']

/**
 * The text of docs/cli.md: one section for each command, with its usage, arguments and options.
 *
 * @param program the command line; the help of its commands is the source of all text below the introduction
 */
export function cliPage(program: Command): string {
  const sections = leaves(program, program.name()).map(([name, command]) => section(name, command))
  return `${[GENERATED, INTRODUCTION, ...sections].join('\n\n')}\n`
}

/** The commands that can be called, with their full names. A group such as `keys` is not one of them. */
function leaves(command: Command, name: string): [string, Command][] {
  if (command.commands.length === 0) return [[name, command]]
  return command.commands.flatMap((each) => leaves(each, `${name} ${each.name()}`))
}

function section(name: string, command: Command): string {
  const parts = [
    `## ${name}`,
    `${sentence(command.description())}`,
    `    ${name} ${usage(command)}`,
    argumentsTable(command.registeredArguments),
    optionsTable(command.options),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** Arguments and required options; `[options]` represents the others. */
function usage({ registeredArguments, options }: Command): string {
  const places = registeredArguments.map(argumentText)
  const needed = options.filter(({ mandatory }) => mandatory).map(({ flags }) => flags)
  return [...places, ...needed, '[options]'].join(' ')
}

function argumentText(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? `<${name}>` : `[${name}]`
}

function argumentsTable(list: readonly Argument[]): string {
  if (list.length === 0) return ''
  const rows = list.map((each) => [code(argumentText(each)), sentence(each.description)])
  return markdownTable([['argument', 'meaning'], ...rows])
}

function optionsTable(list: readonly Option[]): string {
  const own = list.filter(({ flags }) => !COMMON.includes(flags))
  if (own.length === 0) return ''
  const rows = own.map((option) => [code(option.flags), optionText(option)])
  return markdownTable([['option', 'meaning'], ...rows])
}

function optionText({ description, argChoices, defaultValue, mandatory }: Option): string {
  const facts = [
    argChoices && `one of ${argChoices.map(code).join(', ')}`,
    defaultValue !== undefined && `default: ${code(String(defaultValue))}`,
    mandatory && 'must be given',
  ].filter((fact) => typeof fact === 'string')
  return [sentence(description), ...facts.map(sentence)].join(' ')
}

function sentence(text: string): string {
  const first = text.startsWith('safetensors') ? text : `${text.charAt(0).toUpperCase()}${text.slice(1)}`
  return /[.!?]$/.test(first) ? first : `${first}.`
}
