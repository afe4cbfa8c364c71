import { createReadStream } from 'node:fs'
import type { S3Client } from '@aws-sdk/client-s3'
import { PolyVeilError } from '../../errors/index.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

/** Where objects are, and how they are reached. What is left out comes from the usual variables `AWS_...`. */
export interface S3Options {
  /** `s3://BUCKET` or `s3://BUCKET/PREFIX` */
  readonly address: string
  /** URL of a service that is compatible with S3. */
  readonly endpoint?: string
  readonly region?: string
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
}

/** What the objects of a bucket are, for messages. */
export interface S3Contents {
  /** In the plural, such as `key sets`. */
  readonly name: string
  /** The error for an object that is gone. */
  readonly missing: (cause: unknown) => PolyVeilError
}

/** An object, as a list has it. */
export interface ListedObject {
  /** Without the prefix. */
  readonly key: string
  readonly bytes: number
  /** Changes when the object does. */
  readonly mark: string
}

const ADDRESS = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/
const CONNECT_MILLISECONDS = 5000
/** Time without a byte after which a request fails. */
const SILENT_MILLISECONDS = 30_000
const RETRY_SECONDS = 10
/** Beginning of no key, to try whether objects can be listed. */
const NOTHING = '.nothing'
/** Requests to remove objects that run at once. */
const REMOVALS = 16

/** Objects of a bucket below a prefix. Requests end: with their answer, or with TOO_BUSY. */
export class S3Objects {
  readonly #sdk: Sdk
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #contents: S3Contents

  private constructor(sdk: Sdk, client: S3Client, bucket: string, prefix: string, contents: S3Contents) {
    this.#sdk = sdk
    this.#client = client
    this.#bucket = bucket
    this.#prefix = prefix
    this.#contents = contents
  }

  /**
   * Opens a bucket, and makes sure that objects can be listed there.
   *
   * @throws CONFIG_INVALID when the package `@aws-sdk/client-s3` is not installed, the address is none, or
   *   the bucket cannot be reached or used
   */
  static async open(
    { address, endpoint, region, credentials }: S3Options,
    contents: S3Contents,
  ): Promise<S3Objects> {
    const [, bucket, path = ''] = ADDRESS.exec(address) ?? []
    if (bucket === undefined) {
      const message = `${address} is no address in S3; give s3://BUCKET or s3://BUCKET/PREFIX`
      throw new PolyVeilError('CONFIG_INVALID', message, { address })
    }
    const sdk = await loadSdk(contents.name)
    const hasEndpoint = Boolean(endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL)
    const client = new sdk.S3Client({
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined && { region }),
      ...(credentials !== undefined && { credentials }),
      // Compatible services have neither names for buckets nor all checksums of S3.
      forcePathStyle: hasEndpoint,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: { connectionTimeout: CONNECT_MILLISECONDS, socketTimeout: SILENT_MILLISECONDS },
    })
    const prefix = path === '' || path.endsWith('/') ? path : `${path}/`
    const objects = new S3Objects(sdk, client, bucket, prefix, contents)
    await objects.#list(NOTHING, 1).catch((cause) => {
      client.destroy()
      throw unusable(contents.name, address, cause)
    })
    return objects
  }

  /** Writes an object that is a local file. @param digest SHA-256 in hex, which the service may check */
  async put(key: string, path: string, bytes: number, digest: string): Promise<void> {
    await this.#ask(() =>
      this.#client.send(
        new this.#sdk.PutObjectCommand({
          ...this.#named(key),
          Body: createReadStream(path),
          ContentLength: bytes,
          ChecksumSHA256: Buffer.from(digest, 'hex').toString('base64'),
        }),
      ),
    )
  }

  /**
   * Reads an object. @throws the error of `S3Contents` when there is none; TOO_BUSY, also in the middle
   */
  async *get(key: string): AsyncGenerator<Uint8Array> {
    const { Body: body } = await this.#ask(() =>
      this.#client.send(new this.#sdk.GetObjectCommand(this.#named(key))),
    )
    try {
      yield* body as AsyncIterable<Uint8Array>
    } catch (cause) {
      throw away(this.#contents.name, cause)
    }
  }

  /** Keys of objects that begin so. */
  async keys(beginning: string): Promise<string[]> {
    return (await this.list(beginning)).map(({ key }) => key)
  }

  /** Objects whose keys begin so. */
  async list(beginning = ''): Promise<ListedObject[]> {
    const objects: ListedObject[] = []
    let next: string | undefined
    do {
      const page = await this.#ask(() => this.#list(beginning, undefined, next))
      for (const { Key = '', Size = 0, ETag = '' } of page.Contents ?? []) {
        objects.push({ key: Key.slice(this.#prefix.length), bytes: Size, mark: `${ETag}-${Size}` })
      }
      next = page.NextContinuationToken
    } while (next !== undefined)
    return objects
  }

  /** Removes objects, if they exist. Each has a request, since not all compatible services know others. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let i = 0; i < keys.length; i += REMOVALS) {
      const removals = keys
        .slice(i, i + REMOVALS)
        .map((key) => this.#ask(() => this.#client.send(new this.#sdk.DeleteObjectCommand(this.#named(key)))))
      await Promise.all(removals)
    }
  }

  #list(beginning: string, most?: number, next?: string) {
    return this.#client.send(
      new this.#sdk.ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: this.#prefix + beginning,
        MaxKeys: most,
        ContinuationToken: next,
      }),
    )
  }

  #named(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    try {
      return await request()
    } catch (cause) {
      const { missing, name } = this.#contents
      throw (cause as Error).name === 'NoSuchKey' ? missing(cause) : away(name, cause)
    }
  }
}

async function loadSdk(contents: string): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (cause) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The ${contents} cannot be in S3 without the package @aws-sdk/client-s3`,
      {},
      { cause, remedy: 'Install it with npm install @aws-sdk/client-s3, or use a directory.' },
    )
  }
}

const unusable = (contents: string, address: string, cause: Error): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The ${contents} at ${address} cannot be reached: ${cause.name}: ${cause.message}`,
    { address },
    {
      cause,
      remedy:
        'Check the bucket, its region, the endpoint and the credentials: AWS_REGION, AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID.',
    },
  )

const away = (contents: string, cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'TOO_BUSY',
    `The servers of this service cannot reach the ${contents} that they share`,
    { retryAfter: RETRY_SECONDS },
    { cause, remedy: 'Try again after Retry-After. If it persists, tell the operator, whose S3 is away.' },
  )
