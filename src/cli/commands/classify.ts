import { command } from '../command.ts'
export const classifyCommand = () => command('classify', '')
