import type { Peers } from '../exchange/peers.ts'

/** Requests about inferences that are open in HTTP processes. Those of a process that ends are closed. */
export class OpenRequests {
  readonly #open = new Map<string, { readonly process: string; readonly leave: () => void }>()

  constructor(peers: Pick<Peers, 'watch' | 'onLost'>) {
    peers.watch(() => new Set([...this.#open.values()].map(({ process }) => process)))
    peers.onLost((lost) => {
      for (const [token, { process }] of this.#open) if (process === lost) this.close(token)
    })
  }

  /** @param process that has the request @param leave called when the request is closed */
  add(token: string, process: string, leave: () => void): void {
    this.#open.set(token, { process, leave })
  }

  close(token: string): void {
    this.#open.get(token)?.leave()
    this.#open.delete(token)
  }
}
