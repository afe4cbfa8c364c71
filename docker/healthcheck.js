// Exits 0 when the service answers. It follows the environment, as the service does. A worker process has no public port: with
// the argument `worker` this asks the management port.
//
// Swarm ends containers that are unhealthy, and a restart helps neither a service that is drained nor one whose disk is full. So
// this does not ask whether the service is ready, which is for those that send requests to it.

const {
  POLYVEIL_HOST = '127.0.0.1',
  POLYVEIL_PORT = '8080',
  POLYVEIL_MANAGEMENT_HOST = '127.0.0.1',
  POLYVEIL_MANAGEMENT_PORT,
} = process.env

/** Addresses that stand for all of the machine, and the one among them to ask. */
const LOOPBACK = { '0.0.0.0': '127.0.0.1', '::': '::1' }

const isWorker = process.argv[2] === 'worker'
const [host, port, path] = isWorker
  ? [POLYVEIL_MANAGEMENT_HOST, POLYVEIL_MANAGEMENT_PORT, 'livez']
  : [POLYVEIL_HOST, POLYVEIL_PORT, 'v2/health/live']
const address = LOOPBACK[host] ?? host
const authority = `${address.includes(':') ? `[${address}]` : address}:${port}`
const isLive = await fetch(`http://${authority}/${path}`, {
  signal: AbortSignal.timeout(4000),
}).then(
  ({ ok }) => ok,
  () => false,
)
process.exit(isLive ? 0 : 1)
