import { Command } from 'commander'
import { VERSION } from '../version.ts'
import { quietParser } from './command.ts'
import { accuracyCommand } from './commands/accuracy.ts'
import { adminCommand } from './commands/admin.ts'
import { checkCommand } from './commands/check.ts'
import { classifyCommand } from './commands/classify.ts'
import { compileCommand } from './commands/compile.ts'
import { decryptCommand } from './commands/decrypt.ts'
import { encryptCommand } from './commands/encrypt.ts'
import { inspectCommand } from './commands/inspect.ts'
import { keygenCommand } from './commands/keygen.ts'
import { keysCommand } from './commands/keys.ts'
import { modelsCommand } from './commands/models.ts'
import { refreshCommand } from './commands/refresh.ts'
import { serveCommand } from './commands/serve.ts'
import { tokensCommand } from './commands/tokens.ts'
import { verifyCommand } from './commands/verify.ts'
import { workerCommand } from './commands/worker.ts'

/** The whole command line. Commands load what they compute with only when they run. */
export function program(): Command {
  const polyveil = quietParser(new Command('polyveil'))
    .description('Private image classification: networks evaluated on encrypted images')
    .version(VERSION)
    .showSuggestionAfterError()
  const commands = [
    modelsCommand(),
    checkCommand(),
    compileCommand(),
    inspectCommand(),
    verifyCommand(),
    accuracyCommand(),
    serveCommand(),
    workerCommand(),
    tokensCommand(),
    adminCommand(),
    classifyCommand(),
    keygenCommand(),
    keysCommand(),
    encryptCommand(),
    refreshCommand(),
    decryptCommand(),
  ]
  for (const each of commands) polyveil.addCommand(each)
  return polyveil
}
