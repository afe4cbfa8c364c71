import { unreadable, unsafe } from '../errors.ts'
import { build, isDictionary, storageOf } from './build.ts'
import { ByteReader } from './byte-reader.ts'
import { allowedGlobal } from './globals.ts'
import { Tuple, type Value } from './values.ts'

/** A state dict of a thousand tensors takes 200 kB. */
export const MAX_PICKLE_BYTES = 16 * 2 ** 20
/** Marks open at once, that is, how deep tuples and lists may nest. */
const MAX_DEPTH = 64
/**
 * Values put on the stack, and those of them that are objects (dictionaries, tuples, tensors). A tensor takes
 * 30, a third of them objects: the largest network of the family, with its average and its optimiser's state,
 * has 9000 tensors.
 */
const MAX_VALUES = 2 ** 20
const MAX_OBJECTS = 2 ** 18
const NEWEST_PROTOCOL = 5

/**
 * Runs a pickle on a machine that can build numbers, strings, lists, tuples, dictionaries and references to
 * tensors, and nothing else: no opcode calls code, and every name is checked against a list.
 *
 * @returns the root value
 * @throws CHECKPOINT_UNSAFE naming what the pickle asked for, when it is not on the list
 * @throws CHECKPOINT_UNREADABLE when the pickle is malformed, too large or too deep, or has too many values
 */
export function unpickle(bytes: Uint8Array): Value {
  if (bytes.byteLength > MAX_PICKLE_BYTES) {
    throw unreadable(`its pickle has ${bytes.byteLength} bytes, more than ${MAX_PICKLE_BYTES}`)
  }
  const machine = new Machine(bytes)
  for (;;) {
    const opcode = machine.input.u8()
    if (opcode === STOP) return machine.pop()
    const execute = OPCODES[opcode]
    if (!execute) throw unreadable(`its pickle has the opcode 0x${opcode.toString(16)}`)
    execute(machine)
  }
}

/** The pickle machine's state: input, stack, marks into the stack, memo. */
class Machine {
  readonly input: ByteReader
  readonly #stack: Value[] = []
  readonly #marks: number[] = []
  /** Every value that is remembered was put on the stack, but one value may be remembered many times. */
  readonly #memo = new Map<number, Value>()
  #values = 0
  #objects = 0

  constructor(bytes: Uint8Array) {
    this.input = new ByteReader(bytes)
  }

  get memoSize(): number {
    return this.#memo.size
  }

  push(value: Value): void {
    if (typeof value === 'object' && value !== null) this.#objects++
    if (++this.#values > MAX_VALUES || this.#objects > MAX_OBJECTS) {
      throw unreadable(`its pickle has more than ${MAX_VALUES} values or ${MAX_OBJECTS} objects`)
    }
    this.#stack.push(value)
  }

  pop(): Value {
    this.#need(1)
    return this.#stack.pop() as Value
  }

  top(): Value {
    this.#need(1)
    return this.#stack[this.#stack.length - 1]
  }

  /** The topmost `count` values, oldest first. */
  popMany(count: number): Value[] {
    this.#need(count)
    return this.#stack.splice(this.#stack.length - count)
  }

  mark(): void {
    if (this.#marks.length >= MAX_DEPTH) throw unreadable('its pickle nests too deeply')
    this.#marks.push(this.#stack.length)
  }

  /** The values above the last mark, which is removed. */
  popToMark(): Value[] {
    const mark = this.#marks.pop()
    if (mark === undefined) throw unreadable('its pickle closes what it never opened')
    return this.#stack.splice(mark)
  }

  remember(index: number): void {
    if (this.#memo.size >= MAX_VALUES) throw unreadable('its pickle remembers too much')
    this.#memo.set(index, this.top())
  }

  recall(index: number): void {
    const value = this.#memo.get(index)
    if (value === undefined) throw unreadable('its pickle recalls what it never remembered')
    this.push(value)
  }

  /** Values below the last mark belong to an enclosing sequence. */
  #need(count: number): void {
    const floor = this.#marks.at(-1) ?? 0
    if (this.#stack.length - floor < count) throw unreadable('its pickle takes more than it has put')
  }
}

const STOP = 0x2e

type Opcode = (machine: Machine) => void

/** The opcodes that torch's picklers write in protocols 2 to 5, by the names of Python's pickletools. */
const OPCODES: Readonly<Record<number, Opcode>> = {
  /* PROTO            */ 128: (m) => checkProtocol(m.input.u8()),
  /* FRAME            */ 149: (m) => void m.input.u64(),
  /* MARK             */ 40: (m) => m.mark(),
  /* POP              */ 48: (m) => void m.pop(),
  /* POP_MARK         */ 49: (m) => void m.popToMark(),
  /* NONE             */ 78: (m) => m.push(null),
  /* NEWTRUE          */ 136: (m) => m.push(true),
  /* NEWFALSE         */ 137: (m) => m.push(false),
  /* BININT           */ 74: (m) => m.push(m.input.i32()),
  /* BININT1          */ 75: (m) => m.push(m.input.u8()),
  /* BININT2          */ 77: (m) => m.push(m.input.u16()),
  /* LONG1            */ 138: (m) => m.push(longInteger(m.input.bytes(m.input.u8()))),
  /* BINFLOAT         */ 71: (m) => m.push(m.input.f64()),
  /* SHORT_BINUNICODE */ 140: (m) => m.push(m.input.utf8(m.input.u8())),
  /* BINUNICODE       */ 88: (m) => m.push(m.input.utf8(m.input.u32())),
  /* BINUNICODE8      */ 141: (m) => m.push(m.input.utf8(m.input.u64())),
  /* EMPTY_LIST       */ 93: (m) => m.push([]),
  /* LIST             */ 108: (m) => m.push(m.popToMark()),
  /* APPEND           */ 97: (m) => append(m, [m.pop()]),
  /* APPENDS          */ 101: (m) => append(m, m.popToMark()),
  /* EMPTY_TUPLE      */ 41: (m) => m.push(new Tuple([])),
  /* TUPLE            */ 116: (m) => m.push(new Tuple(m.popToMark())),
  /* TUPLE1           */ 133: (m) => m.push(new Tuple(m.popMany(1))),
  /* TUPLE2           */ 134: (m) => m.push(new Tuple(m.popMany(2))),
  /* TUPLE3           */ 135: (m) => m.push(new Tuple(m.popMany(3))),
  /* EMPTY_DICT       */ 125: (m) => m.push(new Map()),
  /* SETITEM          */ 115: (m) => setItems(m, m.popMany(2)),
  /* SETITEMS         */ 117: (m) => setItems(m, m.popToMark()),
  /* BINPUT           */ 113: (m) => m.remember(m.input.u8()),
  /* LONG_BINPUT      */ 114: (m) => m.remember(m.input.u32()),
  /* MEMOIZE          */ 148: (m) => m.remember(m.memoSize),
  /* BINGET           */ 104: (m) => m.recall(m.input.u8()),
  /* LONG_BINGET      */ 106: (m) => m.recall(m.input.u32()),
  /* GLOBAL           */ 99: (m) => m.push(allowedGlobal(m.input.line(), m.input.line())),
  /* STACK_GLOBAL     */ 147: stackGlobal,
  /* BINPERSID        */ 81: (m) => m.push(storageOf(m.pop())),
  /* REDUCE           */ 82: reduce,
  /* BUILD            */ 98: setState,
  /* INST             */ 105: () => refuse('INST'),
  /* OBJ              */ 111: () => refuse('OBJ'),
  /* NEWOBJ           */ 129: () => refuse('NEWOBJ'),
  /* NEWOBJ_EX        */ 146: () => refuse('NEWOBJ_EX'),
  /* EXT1             */ 130: () => refuse('EXT1'),
  /* EXT2             */ 131: () => refuse('EXT2'),
  /* EXT4             */ 132: () => refuse('EXT4'),
}

function refuse(opcode: string): never {
  throw unsafe(`building an object (${opcode})`)
}

function checkProtocol(protocol: number): void {
  if (protocol > NEWEST_PROTOCOL) throw unreadable(`its pickle has protocol ${protocol}`)
}

/** Little-endian two's complement; torch writes sizes and seeds beyond 32 bits so. */
function longInteger(bytes: Uint8Array): number | bigint {
  const digits = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  const integer = BigInt.asIntN(8 * bytes.length, digits)
  const value = Number(integer)
  return Number.isSafeInteger(value) ? value : integer
}

function append(machine: Machine, items: readonly Value[]): void {
  const list = machine.top()
  if (!Array.isArray(list)) throw unreadable('its pickle appends to something that is no list')
  for (const item of items) list.push(item)
}

/** Whether a key is kept. Items with other keys, None or tuples, are left out: they are no weights. */
const isKey = (key: Value): key is string | number | bigint | boolean =>
  ['string', 'number', 'bigint', 'boolean'].includes(typeof key)

function setItems(machine: Machine, items: readonly Value[]): void {
  const dictionary = machine.top()
  if (!isDictionary(dictionary) || items.length % 2 !== 0) {
    throw unreadable('its pickle sets items of something that is no dictionary')
  }
  for (let i = 0; i < items.length; i += 2) {
    const key = items[i]
    if (isKey(key)) dictionary.set(key, items[i + 1])
  }
}

function stackGlobal(machine: Machine): void {
  const [module, name] = machine.popMany(2)
  if (typeof module !== 'string' || typeof name !== 'string') {
    throw unreadable('its pickle names a global by something that is no string')
  }
  machine.push(allowedGlobal(module, name))
}

function reduce(machine: Machine): void {
  const [callee, args] = machine.popMany(2)
  machine.push(build(callee, args))
}

/**
 * A state dict carries attributes (`_metadata`, versions of modules), which say nothing that inference needs.
 */
function setState(machine: Machine): void {
  machine.pop()
  if (!isDictionary(machine.top())) throw unsafe('setting attributes of an object')
}
