export { querySpec, responseSpec } from '../wire/index.ts'
