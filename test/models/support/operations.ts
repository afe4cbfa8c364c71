import type { Network, Operation, OperationOf } from '../../../src/models/index.ts'

/** The operation of a kind with a name. @throws Error when there is none */
export function operationOf<K extends Operation['kind']>(
  { operations }: Network,
  kind: K,
  name: string,
): OperationOf<K> {
  const found = operations.find((operation) => operation.kind === kind && operation.name === name)
  if (found === undefined) throw new Error(`No ${kind} is called ${name}`)
  return found as OperationOf<K>
}

/** The layer of the convolution with a name. */
export const layerOf = (network: Network, name: string) => operationOf(network, 'convolution', name).layer

/** The skip values of all residual branches of a cell, in order. */
export const skipsOf = ({ operations }: Network, cell: string): number[] =>
  operations.flatMap((operation) =>
    operation.kind === 'sigmoidScale' && operation.name.startsWith(`${cell}.`) ? [operation.skip] : [],
  )

/** The network with one operation changed. */
export function withOperation<K extends Operation['kind']>(
  network: Network,
  kind: K,
  name: string,
  change: (operation: OperationOf<K>) => Partial<OperationOf<K>>,
): Network {
  const old: Operation = operationOf(network, kind, name)
  const changed = { ...old, ...change(old as OperationOf<K>) } as Operation
  return { ...network, operations: network.operations.map((one) => (one === old ? changed : one)) }
}

/** The network with the constants of two groups of operations exchanged; each group has a prefix. */
export function withExchanged(network: Network, a: string, b: string): Network {
  const byName = new Map(network.operations.map((operation) => [operation.name, operation]))
  const partnerOf = (name: string): string | undefined => {
    if (name.startsWith(a)) return b + name.slice(a.length)
    return name.startsWith(b) ? a + name.slice(b.length) : undefined
  }
  const operations = network.operations.map((operation) => {
    const partner = byName.get(partnerOf(operation.name) ?? '')
    if (partner === undefined) return operation
    if ('layer' in operation && 'layer' in partner) return { ...operation, layer: partner.layer } as Operation
    if ('norm' in operation && 'norm' in partner) return { ...operation, norm: partner.norm }
    if ('skip' in operation && 'skip' in partner) return { ...operation, skip: partner.skip }
    return operation
  })
  return { ...network, operations }
}
