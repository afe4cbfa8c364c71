import type { DatatypeName } from '../datatypes.ts'
import { unsafe } from '../errors.ts'
import type { Global } from './values.ts'

const storage = (dtype: DatatypeName): Global => ({ kind: 'storageType', dtype })

/** Everything that a checkpoint's pickle may name. Nothing here is called: each only says what to build. */
const ALLOWED: ReadonlyMap<string, Global> = new Map<string, Global>([
  ['collections OrderedDict', { kind: 'orderedDict' }],
  ['torch._utils _rebuild_tensor_v2', { kind: 'rebuildTensor' }],
  ['torch._utils _rebuild_parameter', { kind: 'rebuildParameter' }],
  ['torch FloatStorage', storage('F32')],
  ['torch HalfStorage', storage('F16')],
  ['torch BFloat16Storage', storage('BF16')],
  ['torch DoubleStorage', storage('F64')],
  ['torch LongStorage', storage('I64')],
  ['torch IntStorage', storage('I32')],
  ['torch ShortStorage', storage('I16')],
  ['torch CharStorage', storage('I8')],
  ['torch ByteStorage', storage('U8')],
  ['torch BoolStorage', storage('BOOL')],
])

/** @throws CHECKPOINT_UNSAFE naming the global when it is not on the list */
export function allowedGlobal(module: string, name: string): Global {
  const global = ALLOWED.get(`${module} ${name}`)
  if (!global) throw unsafe(`${module}.${name}`.slice(0, 200))
  return global
}
