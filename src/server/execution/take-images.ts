import { PolyVeilError } from '../../errors/index.ts'
import type { Audit, AuditFacts } from '../access/audit.ts'
import type { ImageBudget, TakenImages } from '../access/image-budget.ts'
import type { NewQuery } from '../inference/host.ts'
import { loggedName } from '../stores/store-log.ts'

/** What is recorded of a query. */
export type QueryFacts = Pick<NewQuery, 'request' | 'model' | 'keys'>

/** What counts images, and records it. */
export interface BudgetServices {
  readonly budget: ImageBudget
  readonly audit: Audit
}

/**
 * Counts the images of a query against the budget of its tenant.
 *
 * @returns what was taken
 * @throws FORBIDDEN when the tenant has too few left; TOO_BUSY when the query cannot be recorded
 */
export async function takeImages(services: BudgetServices, query: QueryFacts): Promise<TakenImages> {
  const { budget, audit } = services
  const { audited } = query.request
  const facts = factsOf(query)
  const take = async (): Promise<TakenImages> => {
    try {
      return await budget.take(audited.caller, query.model.manifest.batch)
    } catch (error) {
      if (isSpent(error)) audit('query refused: budget spent', audited, facts)
      throw error
    }
  }
  const taken = await take()
  try {
    audit('query taken', audited, facts)
  } catch (error) {
    await giveBackImages(services, query, taken)
    throw error
  }
  return taken
}

/** Gives images back to a tenant, and logs it when that fails. */
export async function giveBackImages(
  { budget, audit }: BudgetServices,
  query: QueryFacts,
  taken: TakenImages | undefined,
): Promise<void> {
  if (taken?.tenant === undefined) return
  const { audited, log } = query.request
  try {
    await budget.giveBack(taken)
    audit('images given back', audited, factsOf(query))
  } catch (err) {
    log.error({ err, ...factsOf(query) }, 'Images could not be given back to a tenant')
  }
}

const factsOf = ({ model, keys }: QueryFacts): AuditFacts => ({
  model: model.name,
  images: model.manifest.batch,
  keySet: loggedName(keys.name),
})

const isSpent = (error: unknown): boolean => error instanceof PolyVeilError && error.code === 'FORBIDDEN'
