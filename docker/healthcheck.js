// Exits 0 when the service takes inferences.

const port = process.env.POLYVEIL_PORT ?? '8080'
const isReady = await fetch(`http://127.0.0.1:${port}/v2/health/ready`, {
  signal: AbortSignal.timeout(4000),
}).then(
  ({ ok }) => ok,
  () => false,
)
process.exit(isReady ? 0 : 1)
