import { printable } from '../../errors/index.ts'
import { isComplex, periodOf } from '../constants/constant.ts'
import type { Circuit, Layout, Op } from '../types.ts'

/**
 * A circuit as readable text: parameters and layouts, then one line for each operation in SSA form under its
 * layer's heading. Constants stand by number and period, and an i after the period marks complex ones;
 * weights are not shown. Equal circuits give equal text.
 */
export function circuitText(circuit: Circuit): string {
  return [...header(circuit), ...body(circuit), `result %${circuit.result}`, ''].join('\n')
}

function header({ model, parameters, batch, input, output, constants, ops, refresh }: Circuit): string[] {
  const bits = (primes: readonly bigint[]): string => primes.map((q) => log2(Number(q))).join(' ')
  return [
    `circuit "${printable(model)}"`,
    `ring ${parameters.ring}, ${parameters.slots} slots, log2(QP) ${parameters.logQP.toFixed(2)}`,
    `primes 2^(${bits(parameters.primes)}), special 2^(${bits(parameters.specialPrimes)})`,
    ...(batch > 1 ? [`batch of ${batch} images, ${parameters.slots / batch} slots each`] : []),
    `input ${input.image.join('x')} in patches of ${input.patch}, ${layoutText(input.layout)}; ${typeText(input)}`,
    `output ${output.classes} classes, period ${output.period}; ${typeText(output)}`,
    ...(refresh ? [`refresh at level ${refresh.level}`] : []),
    `${ops.length} operations, ${constants.length} constants`,
  ]
}

const layoutText = (layout: Layout): string =>
  `${layout.ciphertexts} ciphertexts of ${layout.channelsPerCiphertext} of ${layout.channels} channels, ${layout.parts} a slot, ` +
  `${layout.height}x${layout.width} at ${layout.offset} by ${layout.rowStride}, ${layout.columnStride}, ` +
  `interleave ${layout.interleave}`

function body({ ops, layers, constants }: Circuit): string[] {
  const lines: string[] = []
  let current = -1
  const period = (id: number): string => {
    const constant = constants.at(id)!
    return `c${id}/${periodOf(constant)}${isComplex(constant) ? 'i' : ''}`
  }
  ops.forEach((op, index) => {
    if (op.layer !== current) {
      current = op.layer
      const { name, kind, shape } = layers[current]
      lines.push('', `${printable(name)}: ${printable(kind)} [${shape.join(', ')}]`)
    }
    lines.push(`  ${`%${index} = ${opText(op, period)}`.padEnd(40)} ; ${typeText(op)}`)
  })
  return [...lines, '']
}

function opText(op: Op, constant: (id: number) => string): string {
  switch (op.kind) {
    case 'input':
      return `input ${op.index}`
    case 'rotate':
      return `rotate %${op.source} by ${op.steps}`
    case 'dot': {
      const terms = op.terms.map((term) => `%${term.value} * ${constant(term.constant)}`)
      return `dot ${terms.join(' + ')} at 2^${log2(op.constantScale)}`
    }
    case 'addPlain':
      return `addPlain %${op.source} + ${constant(op.constant)}`
    case 'add':
      return `add %${op.left} + %${op.right}`
    case 'subtract':
      return `subtract %${op.left} - %${op.right}`
    case 'multiply':
      return `multiply %${op.left} * %${op.right}`
    case 'refresh':
      return `refresh %${op.source} in round ${op.round}`
    case 'conjugate':
    case 'timesI':
    case 'relinearise':
    case 'rescale':
    case 'dropLevel':
    case 'raise':
      return `${op.kind} %${op.source}`
  }
}

const typeText = ({ level, scale }: { level: number; scale: number }): string =>
  `level ${level}, scale 2^${log2(scale)}`

const log2 = (value: number): string => Math.log2(value).toFixed(2)
