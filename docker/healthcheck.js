// Exits 0 when the service takes inferences. It follows the environment, as the service does.

const { POLYVEIL_HOST = '127.0.0.1', POLYVEIL_PORT = '8080' } = process.env

/** Addresses that stand for all of the machine, and the one among them to ask. */
const LOOPBACK = { '0.0.0.0': '127.0.0.1', '::': '::1' }

const address = LOOPBACK[POLYVEIL_HOST] ?? POLYVEIL_HOST
const host = address.includes(':') ? `[${address}]` : address
const isReady = await fetch(`http://${host}:${POLYVEIL_PORT}/v2/health/ready`, {
  signal: AbortSignal.timeout(4000),
}).then(
  ({ ok }) => ok,
  () => false,
)
process.exit(isReady ? 0 : 1)
