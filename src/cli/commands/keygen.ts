import { command } from '../command.ts'
export const keygenCommand = () => command('keygen', '')
