import type { BudgetServices } from '../../execution/take-images.ts'
import { loggedName } from '../../stores/store-log.ts'
import type { QueryJob } from './query-job.ts'

/** Gives back what a query took from its tenant's budget, when no inference has begun that would do so. */
export async function giveBackJob({ budget, audit }: BudgetServices, job: QueryJob): Promise<void> {
  const { taken, model, keySet, request } = job
  if (taken.tenant === undefined) return
  await budget.giveBack(taken)
  const { id, ip, caller } = request
  const facts = { model: model.name, images: taken.images, keySet: loggedName(keySet) }
  audit('images given back', { id, ip, caller }, facts)
}
