import { command } from '../command.ts'
export const serveCommand = () => command('serve', '')
