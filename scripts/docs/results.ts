import { readFileSync } from 'node:fs'

/** Fields of every file of bench/results. */
interface Report<R> {
  readonly machine: Machine
  readonly date: string
  readonly results: R
}

interface Machine {
  readonly processor: string
  readonly cores: number
  readonly node: string
  readonly loadBefore: number
}

interface Seconds {
  readonly encrypt: number
  readonly execute: number
  readonly decrypt: number
}

/** `bench/run.ts service one-shot` */
export interface OneShot {
  readonly service: {
    readonly networks: readonly {
      readonly name: string
      readonly keysMadeAndUploadedSeconds: number
      readonly firstRoundTripSeconds: number
      readonly roundTripSeconds: number
      readonly stages: { readonly encrypt: number; readonly infer: number; readonly decrypt: number }
      readonly bytes: { readonly query: number; readonly answer: number }
    }[]
    readonly serverPeakRssBytes: number
  }
  readonly 'one-shot': {
    readonly networks: readonly {
      readonly name: string
      readonly simd: Measured
      readonly seal: Measured
      readonly ratio: { readonly execute: number; readonly keyBytes: number }
    }[]
  }
}

interface Measured {
  readonly images: number
  readonly maxAbsError: number
  readonly seconds: Seconds & { readonly compile: number }
  readonly bytes: { readonly keys: number }
  readonly engineMemoryBytes: EngineMemory
}

export interface EngineMemory {
  readonly keys: number
  readonly constants: number
  readonly program: number
}

/** `bench/run.ts cluster` */
export interface ClusterRuns {
  readonly cluster: {
    readonly rows: readonly {
      /** 0 for one process that does all. */
      readonly workers: number
      readonly inferencesPerMinute: number
      readonly p50: number
      readonly ofEachInference?: {
        readonly redisMilliseconds: number
        readonly redisCommands: number
        readonly redisBytes: number
        readonly httpMilliseconds: number
      }
    }[]
  }
}

/** `bench/ml-inference/run.ts` */
export interface MlInference {
  readonly 'ml-inference': {
    /** What images were classified. */
    readonly images: string
    readonly instances: readonly {
      readonly name: string
      readonly images: number
      readonly imagesInACiphertext: number
      /** By the names of the harness's programs. */
      readonly seconds: Readonly<Record<string, number>>
      readonly secondsPerImage: number
      readonly bytes: { readonly keys: number; readonly upload: number; readonly download: number }
      readonly quality: { readonly correct: number; readonly images: number }
    }[]
  }
}

/** `bench/run.ts refreshed` */
export interface Refreshed {
  readonly refreshed: { readonly networks: readonly RefreshedNetwork[] }
}

export interface RefreshedNetwork {
  readonly name: string
  readonly compileSeconds?: number
  readonly keysMadeAndUploadedSeconds: number
  readonly images: number
  readonly sameLabel: number
  readonly largestErrorInDeviations: number
  readonly firstSeconds: number
  readonly seconds: { readonly total: number; readonly clientCores: number; readonly serverCores: number }
  readonly bytes: { readonly keys: number; readonly up: number; readonly down: number }
  readonly rounds: number
  /** Absent in older files. */
  readonly refreshDepth?: number
  readonly refreshedCiphertexts: number
  readonly serverPeakRssBytes: number
  readonly clientPeakRssBytes: number
  readonly engineMemoryStatedBytes: number
  readonly serverMemoryStatedBytes: number
  readonly estimatedCoreSeconds: number
  /** Absent in runs with `--brief`. */
  readonly stages?: { readonly engineMemoryBytes: EngineMemory; readonly enginePeakBytes: number }
}

/** `bench/run.ts restored` */
export interface Restored {
  readonly restored: {
    readonly restorations: readonly (Restoration | Skipped)[]
    readonly networks: readonly (RestoredNetwork | Skipped)[]
  }
}

/** One restoration alone. */
export interface Restoration {
  readonly name: string
  /** The network whose plan has these choices. */
  readonly plannedFor: string
  readonly ring: number
  /** Copies of the message in the slots. */
  readonly copies: number
  /** Stages of each factor. */
  readonly transformFactors: {
    readonly slotsToCoefficients: readonly number[]
    readonly coefficientsToSlots: readonly number[]
  }
  readonly logQP: number
  readonly primes: PrimeCounts
  readonly levels: RestorationLevels
  readonly modulusBits: RestorationLevels
  readonly operations: { readonly rotate: number; readonly conjugate: number; readonly relinearise: number }
  readonly failureBits: number
  /** Bits below a message of deviation 1. */
  readonly errorBits: { readonly stated: number; readonly rms: number; readonly largest: number }
  readonly keys: { readonly galois: number; readonly wireBytes: number }
  readonly keySeconds: number
  readonly threads: readonly {
    readonly threads: number
    readonly seconds: number
    readonly loadSeconds: number
    readonly steps: readonly {
      readonly what: string
      readonly seconds: number
      readonly modelSeconds: number
    }[]
    readonly engineMemoryBytes: EngineMemory
    readonly enginePeakBytes: number
  }[]
}

interface PrimeCounts {
  readonly data: number
  readonly special: number
}

interface RestorationLevels {
  readonly raise: number
  readonly refresh: number
  readonly network: number
  readonly top: number
}

/** A network whose server restores levels. */
export interface RestoredNetwork {
  readonly name: string
  /** Absent for circuits that were compiled before. */
  readonly compileSeconds?: number
  readonly ring: number
  readonly primes: PrimeCounts
  readonly logQP: number
  readonly restorations: number
  readonly failureBits: number
  readonly images: number
  readonly sameLabel: number
  readonly errorInDeviations: { readonly rms: number; readonly largest: number }
  readonly threads: number
  readonly seconds: Seconds & {
    readonly keys: number
    readonly load: number
    readonly firstExecute: number
  }
  readonly bytes: { readonly keys: number; readonly query: number; readonly answer: number }
  readonly engineMemoryBytes: EngineMemory
  readonly engineMemoryStatedBytes: number
  /** Both sides in one process. */
  readonly peakRssBytes: number
  readonly estimatedCoreSeconds: number
}

/** What was not available. */
interface Skipped {
  readonly name: string
  readonly skipped: string
}

/** `bench/run.ts keys` */
export interface Keys {
  readonly keys: {
    readonly rows: readonly {
      readonly ring: number
      readonly primes: string
      readonly keys: number
      readonly bytes: number
      readonly secretKeySeconds: number
      readonly keySetSeconds: number
      readonly nodeSeal: { readonly secretKeySeconds: number; readonly keySetSeconds: number }
      readonly loadSeconds: Readonly<Record<string, number>>
    }[]
  }
}

/** `bench/run.ts engine` */
export interface Engine {
  readonly engine: {
    readonly operations: {
      readonly ring: number
      readonly primeBits: string
      readonly rows: readonly {
        readonly what: string
        readonly simdMilliseconds: number
        readonly sealMilliseconds: number
        readonly ratio: number
      }[]
    }
  }
}

/** `bench/run.ts accuracy batches` */
export interface Accuracy {
  readonly accuracy: {
    readonly networks: readonly {
      readonly name: string
      readonly images: number
      readonly sameAnswer: number
      readonly maxAbsError: number
    }[]
  }
  readonly batches: {
    readonly batches: readonly {
      readonly batch: number
      readonly bytes: { readonly keys: number }
      readonly engineMemoryBytes: EngineMemory
      readonly rotations: number
      readonly galoisKeys: number
      readonly inputs: number
      readonly ratio: { readonly imagesPerSecond: number; readonly latency: number }
    }[]
  }
}

/** `bench/run.ts kernels instructions profile` */
export interface Kernels {
  readonly kernels: {
    readonly ring: number
    readonly rows: readonly {
      readonly kernel: string
      readonly where: string
      readonly bytesEach: number
      readonly cyclesEach: number
      readonly gigabytesPerSecond: number
    }[]
  }
  readonly instructions: {
    readonly rows: readonly {
      readonly kernel: string
      readonly each: string
      readonly vectorInstructions: number
    }[]
  }
  readonly profile: {
    readonly plainSeconds: number
    readonly rows: readonly { readonly what: string; readonly share: number }[]
  }
}

/** `bench/run.ts plans` */
export interface Plans {
  readonly plans: {
    readonly networks: readonly {
      readonly name: string
      readonly seconds: number
      readonly rounds: number
      readonly refreshDepth: number
      readonly refreshedCiphertexts: number
      readonly plannedCoreSeconds: number
    }[]
  }
}

/** A file of bench/results, with its name. */
export type Result<R> = Report<R> & { readonly file: string }

/** Reads a file of bench/results. The caller names the type of its `results`. */
function result<R>(file: string): Result<R> {
  const text = readFileSync(new URL(`../../bench/results/${file}`, import.meta.url), 'utf8')
  return { ...(JSON.parse(text) as Report<R>), file }
}

/** The runs that are the sources of the documentation's tables. */
export const RESULTS = {
  oneShot: result<OneShot>('2026-11-30-one-shot.json'),
  refreshed: result<Refreshed>('2026-11-30-refreshed.json'),
  lowres: result<Refreshed>('2026-11-30-refreshed-lowres.json'),
  s: result<Refreshed>('2026-11-30-refreshed-s.json'),
  b: result<Refreshed>('2026-11-30-refreshed-b.json'),
  l: result<Refreshed>('2026-11-30-refreshed-l.json'),
  plans: result<Plans>('2026-11-30-plans.json'),
  families: result<Refreshed>('2026-11-30-refreshed-families.json'),
  accuracy: result<Accuracy>('2026-11-29-accuracy-batches.json'),
  engine: result<Engine>('2026-11-24-engine.json'),
  keys: result<Keys>('2026-11-24-keys.json'),
  kernels: result<Kernels>('2026-11-24-kernels.json'),
  cluster: result<ClusterRuns>('2026-11-30-cluster.json'),
  restored: result<Restored>('restored.json'),
  restoredS: result<Restored>('restored-s.json'),
  mlInference: result<MlInference>('2026-11-30-ml-inference.json'),
} as const
