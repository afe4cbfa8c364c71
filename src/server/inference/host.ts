import type { Context } from '@opentelemetry/api'
import type { FastifyBaseLogger } from 'fastify'
import type { Audit } from '../access/audit.ts'
import type { TakenImages } from '../access/image-budget.ts'
import type { ServedModel } from '../models/catalogue.ts'
import type { LocatedKeySet } from '../stores/key-set-bytes.ts'
import type { InferenceMoment, InferenceSnapshot } from './inference.ts'
import type { SentAnswer } from './reply-cache.ts'

/**
 * Whose inference it is: that of a key set, and of the tenant that holds it. Ids are chosen by clients, so
 * each client has ids of its own.
 */
export interface InferenceClient {
  /** Absent where the service is open. */
  readonly tenant?: string
  /** Hash that names the key set. */
  readonly keySet: string
}

/** The request that a query came with, as limits, logs, the audit log and traces name it. */
export interface QueryRequest {
  readonly audited: NonNullable<Parameters<Audit>[1]>
  readonly log: FastifyBaseLogger
  /** The context of its span. */
  readonly context: Context
}

/** The key set of a query. It is complete and fits the model. */
export interface QueryKeySet extends LocatedKeySet {
  /** Deletes it, when a worker has found it damaged. */
  discard(): Promise<void>
}

/** A query whose sender may make it. */
export interface NewQuery {
  readonly request: QueryRequest
  readonly model: ServedModel
  readonly keys: QueryKeySet
  /** The encrypted image. Its buffer is transferred. */
  readonly frame: Uint8Array<ArrayBuffer>
  /** The id that the client chose; by default a random one. */
  readonly id?: string
  /** Whether the client fetches the answer by a request of its own, and none of its requests stays open. */
  readonly isAsync: boolean
  /** Its images, where they are counted against the budget of a tenant already. */
  readonly taken?: TakenImages
}

/** An inference as its client's requests see it. It may run in another process. */
export interface HostedInference {
  readonly id: string
  /**
   * The first state behind a version, which may take a while; by default the present one.
   *
   * @param gone aborted when nobody waits for it any more; then it may reject
   */
  moment(after?: number, gone?: AbortSignal): Promise<InferenceMoment>
  /**
   * Notes that a request of the client is open. @returns a function to call when it closes
   *
   * @throws TOO_BUSY when the client has too many
   */
  enter(): Promise<() => void>
  /**
   * Takes one of the requests for rounds that do not count against the rate limit. @returns whether there was
   * one
   */
  takeFreeRequest(): Promise<boolean>
  /**
   * Waits for an output: the masked tensor of a round, or the logits by the number of rounds.
   *
   * @param gone as of `moment`
   * @throws CONFIG_INVALID (409) when there is none of that number, or it is not kept any more
   * @throws INFERENCE_UNKNOWN when the inference was cancelled; the error that ended it
   */
  output(number: number, gone?: AbortSignal): Promise<SentAnswer>
  /**
   * Takes the client's reply to a round. The same reply again has no effect.
   *
   * @throws as `RoundMailbox.reply`; INFERENCE_UNKNOWN when the inference has ended
   */
  reply(round: number, body: Uint8Array): Promise<void>
  /** Notes bytes of a reply that is arriving. */
  receives(bytes: number): void
  /** Ends it, because its client wants that. */
  cancel(): Promise<void>
  /** Ends it for a reason of the server's own, which is a sentence. */
  stop(reason: string): Promise<void>
  /** Notes that an output begins to be sent. @returns a function to call when it has been sent */
  onSending(): () => void
}

export interface BegunInference {
  readonly inference: HostedInference
  /** The first output, which answers the query. */
  readonly first: Promise<SentAnswer>
}

/** An inference that has not ended, and whose it is. */
export interface InferenceUnderWay {
  /** Names it among those of all clients. Ids are chosen by clients, so that two may have the same one. */
  readonly handle: string
  readonly snapshot: InferenceSnapshot
  readonly client: InferenceClient
}

/** Where inferences run: in this process, or in worker processes. */
export interface InferenceHost {
  /** Inferences that this process has to see to their end. */
  readonly running: number
  /** Inferences whose answer is with this process, and has not been fetched. */
  readonly unfetched: number
  /**
   * Begins an inference.
   *
   * @throws CONFIG_INVALID (409) when the client has an inference of that id under way
   */
  begin(query: NewQuery): Promise<BegunInference>
  /** An inference of a client; undefined when it has none of that id, although another client may have. */
  find(client: InferenceClient, id: string): Promise<HostedInference | undefined>
  /** Inferences of all clients that have not ended, the oldest first. */
  underWay(): Promise<readonly InferenceUnderWay[]>
  /** Ends an inference for a reason of the server's own. @returns whether one of that handle is under way */
  stop(handle: string, reason: string): Promise<boolean>
  /** Ends those that this process has to see to their end and that still need a reply of their client. */
  stopUnanswered(): void
  /** Ends those that this process has to see to their end. */
  stopAll(): void
}
