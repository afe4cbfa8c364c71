import { command } from '../command.ts'
export const encryptCommand = () => command('encrypt', '')
