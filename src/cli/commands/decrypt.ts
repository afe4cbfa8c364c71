import { command } from '../command.ts'
export const decryptCommand = () => command('decrypt', '')
