import t from 'tap'
import { ExecutionStopped } from '../../../../src/he-ops/executor.ts'
import { compileCircuit } from '../../../../src/he-ops/simd/circuit-program.ts'
import { ConstantStore } from '../../../../src/he-ops/simd/constants/constant-store.ts'
import type { ProgramBuilder } from '../../../../src/he-ops/simd/program/program.ts'
import { linkProgram } from '../../../../src/he-ops/simd/threads/run.ts'
import { type RunControl, ThreadPool } from '../../../../src/he-ops/simd/threads/thread-pool.ts'
import { PairLoader } from '../../../../src/he-ops/simd/values/pair-loader.ts'
import { parameters, STEPS, smallSimdCircuit } from '../circuits.ts'
import { simdFixture } from '../fixture.ts'

const { ring, slots, topLevel } = parameters
const circuit = smallSimdCircuit()
const fixture = await simdFixture(parameters, STEPS)
const { context, keys } = fixture
const { heap, kernels } = context
t.teardown(() => fixture.delete())

const inputs = [
  Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1)),
  Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25),
].map((values) => fixture.packed(fixture.encrypt(values, topLevel, circuit.input.scale), topLevel))

const pools = await Promise.all([1, 2, 3].map((threads) => ThreadPool.create(heap.memory, kernels, threads)))
t.teardown(async () => {
  for (const pool of pools) await pool.close()
})

const constants = new ConstantStore(context, circuit.constants)
const loader = new PairLoader(context)

/** The small circuit, linked for a pool. */
function linked(pool: ThreadPool) {
  const program = compileCircuit(context, circuit, keys, constants, pool.threads)
  return {
    ...program,
    async run(control?: RunControl): Promise<Uint32Array[]> {
      program.inputs.forEach(({ polynomials }, i) => {
        loader.load(inputs[i], polynomials[0], polynomials[1])
      })
      await pool.run(program.program, control)
      const { polynomials, primes } = program.result
      return polynomials.map((polynomial) => heap.words(polynomial, ring * primes).slice())
    },
  }
}

const same = (a: readonly Uint32Array[], b: readonly Uint32Array[]): boolean =>
  a.every((words, p) => Buffer.from(words.buffer).equals(Buffer.from(b[p].buffer)))

const expected = await (async () => {
  const program = linked(pools[0])
  const residues = await program.run()
  program.free()
  return residues
})()

t.test('one, two and three threads compute the same bits, again and again', async (t) => {
  for (const pool of pools) {
    const program = linked(pool)
    for (let repetition = 0; repetition < 5; repetition++) {
      t.ok(same(await program.run(), expected), `${pool.threads} threads`)
    }
    program.free()
  }
  const altered = expected.map((words) => words.slice())
  altered[1][77] ^= 1
  t.notOk(same(altered, expected), 'the comparison can fail')
})

t.test('progress never falls and ends at the number of operations', async (t) => {
  for (const pool of pools) {
    const seen: number[] = []
    const program = linked(pool)
    await program.run({ onProgress: (done) => seen.push(done) })
    t.ok(
      seen.every((done, i) => done > 0 && (i === 0 || done >= seen[i - 1])),
      `${seen}`,
    )
    // The last operation drops a level, which takes no phase.
    t.equal(seen.at(-1), circuit.ops.length)
    t.equal(seen.length, program.program.phases.length - 1, 'one report for each phase')
    program.free()
  }
})

t.test('a run stops at any phase, and the next one is right', async (t) => {
  for (const pool of pools) {
    const program = linked(pool)
    const phases = program.program.phases.length - 1
    for (const last of [1, 2, Math.ceil(phases / 2), phases - 1]) {
      const before = heap.used
      const seen: number[] = []
      const stopped = program.run({
        onProgress: (done) => seen.push(done),
        shouldStop: () => seen.length === last,
      })
      const error = await stopped.then(
        () => t.fail('not stopped'),
        (cause: unknown) => cause,
      )
      t.ok(error instanceof ExecutionStopped && error.done === seen.at(-1), `after ${seen.at(-1)} operations`)
      t.equal(seen.length, last, 'at the phase that asked for it')
      t.equal(heap.used, before)
      t.ok(same(await program.run(), expected), `${pool.threads} threads after a stop in phase ${last}`)
    }
    program.free()
  }
})

t.test('errors of onProgress and shouldStop are rethrown, and the next run is correct', async (t) => {
  const fault = new Error('a fault of the caller')
  const failing = (): never => {
    throw fault
  }
  for (const pool of pools) {
    const program = linked(pool)
    await t.rejects(program.run({ onProgress: failing }), fault)
    await t.rejects(program.run({ shouldStop: failing }), fault)
    t.ok(same(await program.run(), expected), `${pool.threads} threads`)
    program.free()
  }
})

/** An address far beyond the memory. */
const NOWHERE = 2 ** 32 - 2 ** 20

/**
 * A program of some phases. In each phase each thread marks its presence; in the phase `failing` the
 * `culprits` then access memory that does not exist.
 */
function marking(pool: ThreadPool, phases: number, failing: number, culprits: readonly number[]) {
  const mark = heap.allocate(16)
  heap.words(mark, 4).fill(1)
  const marks = heap.allocate(16 * phases * pool.threads)
  heap.words(marks, 4 * phases * pool.threads).fill(0)
  const { program, free } = linkProgram(context, pool.threads, 64, (builder: ProgramBuilder) => {
    for (let phase = 0; phase < phases; phase++) {
      builder.phase(
        Array.from({ length: pool.threads }, (_, thread) => (call) => {
          call('copy', { out: marks + 16 * (phase * pool.threads + thread), a: mark, size: 4 })
          if (phase === failing && culprits.includes(thread)) call('copy', { out: mark, a: NOWHERE, size: 4 })
        }),
      )
    }
  })
  return {
    program,
    /** Number of threads that were present in each phase. */
    present(): number[] {
      const words = heap.words(marks, 4 * phases * pool.threads)
      const row = (phase: number) => words.subarray(4 * phase * pool.threads, 4 * (phase + 1) * pool.threads)
      return Array.from({ length: phases }, (_, phase) => row(phase).filter((word) => word === 1).length / 4)
    },
    free() {
      free()
      heap.free(marks)
      heap.free(mark)
    },
  }
}

t.test('a thread that throws ends the run for all, at once; the pool works on', async (t) => {
  for (const pool of pools) {
    const all = Array.from({ length: pool.threads }, (_, thread) => thread)
    for (const culprits of [...all.map((thread) => [thread]), all]) {
      for (const failing of [0, 2]) {
        const faulty = marking(pool, 5, failing, culprits)
        const begin = performance.now()
        await t.rejects(pool.run(faulty.program), { message: /out of bounds/ })
        t.ok(performance.now() - begin < 5000, `threads ${culprits} of ${pool.threads}, phase ${failing}`)
        const present = faulty.present()
        t.ok(
          present.slice(0, failing).every((count) => count === pool.threads),
          `${present}: all did their share before`,
        )
        t.ok(present[failing] >= 1, 'who wakes up late may learn of it before that phase')
        t.ok(
          present.slice(failing + 1).every((count) => count === 0),
          `${present}: nobody went on`,
        )
        faulty.free()
        const sound = marking(pool, 3, -1, [])
        await pool.run(sound.program)
        t.strictSame(sound.present(), [pool.threads, pool.threads, pool.threads])
        sound.free()
      }
    }
    const program = linked(pool)
    t.ok(same(await program.run(), expected), 'a real program is right afterwards')
    program.free()
  }
})

t.test('a failure and a stop in the same phase: the run rejects with the failure', async (t) => {
  const [, , pool] = pools
  const faulty = marking(pool, 5, 1, [2])
  let phases = 0
  // The stop is requested in the second phase, which fails.
  await t.rejects(pool.run(faulty.program, { shouldStop: () => ++phases === 2 }), {
    message: /out of bounds/,
  })
  faulty.free()
})

t.test('a program without phases ends', async (t) => {
  for (const pool of pools) {
    const empty = linkProgram(context, pool.threads, 64, () => {})
    await pool.run(empty.program)
    t.pass()
    empty.free()
  }
})

t.test('a run on a pool whose workers are still starting is complete', async (t) => {
  const pool = await ThreadPool.create(heap.memory, kernels, 3)
  const program = marking(pool, 3, -1, [])
  await pool.run(program.program)
  t.strictSame(program.present(), [3, 3, 3])
  program.free()
  await pool.close()
})
