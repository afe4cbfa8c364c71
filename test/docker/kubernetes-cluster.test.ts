import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Deployment } from 'kubernetes-types/apps/v1.js'
import type { Container, PersistentVolumeClaim, PodSpec, Service } from 'kubernetes-types/core/v1.js'
import type { Ingress, NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import t from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { configSchema, environmentName, megabytes, readConfig } from '../../src/server/config.ts'
import { memoryShortage } from '../../src/server/memory-need.ts'
import { settingsOfImage } from './image.ts'
import {
  complaints,
  gibibytesOf,
  type Kustomization,
  MANIFESTS,
  manifest,
  type Resource,
  variablesOf,
} from './kubernetes.ts'

// The manifests of the service in several processes.

const read = <T>(name: string): T => manifest<T>(`cluster/${name}`)
const image = settingsOfImage()

interface Role {
  readonly name: 'http' | 'worker'
  readonly deployment: Deployment
  readonly pod: PodSpec
  readonly container: Container
}

const roles = (['http', 'worker'] as const).map((name): Role => {
  const deployment = read<Deployment>(`${name}.yaml`)
  const pod = deployment.spec!.template.spec!
  return { name, deployment, pod, container: pod.containers[0] }
})
const [http, worker] = roles

/** The settings of a role. Variables of the image hold where the manifest has none. */
const configOf = ({ container }: Role) =>
  readConfig({
    env: {
      POLYVEIL_MODELS_DIR: '.',
      ...image.env,
      ...variablesOf(container),
      POLYVEIL_REDIS: 'rediss://:secret@redis:6380',
    },
  })

t.test('all resources have the fields of their kinds', async (t) => {
  const { resources, images } = read<Kustomization>('kustomization.yaml')
  const files = readdirSync(join(MANIFESTS, 'cluster')).filter((name) => name !== 'kustomization.yaml')
  t.strictSame([...resources].sort(), files.sort())
  for (const file of files) t.equal(complaints(t, read<Resource>(file)), '', file)
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  for (const { container } of roles)
    t.strictSame(images, [{ name: container.image, newTag: version }], 'the image has the version')
})

for (const role of roles) {
  const { name, deployment, pod, container } = role

  t.test(`the ${name} pods have no rights that they do not need`, async (t) => {
    const [user, group] = image.user.split(':').map(Number)
    t.match(pod.securityContext, {
      runAsNonRoot: true,
      runAsUser: user,
      runAsGroup: group,
      fsGroup: group,
      seccompProfile: { type: 'RuntimeDefault' },
    })
    t.strictSame(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    t.equal(pod.automountServiceAccountToken, false)
    t.equal(pod.enableServiceLinks, false, 'no variables of Services take the place of settings')
  })

  t.test(
    `the ${name} pods have settings of the service, and the address of Redis from a Secret`,
    async (t) => {
      const names = Object.keys(configSchema.shape).map(environmentName)
      for (const { name } of container.env!) t.ok(names.includes(name), name)
      const { valueFrom } = container.env!.find((each) => each.name === 'POLYVEIL_REDIS')!
      t.strictSame(valueFrom, { secretKeyRef: { name: 'polyveil-redis', key: 'url' } })
      const { shutdownSeconds, access } = await configOf(role)
      t.equal(access, 'tokens')
      const sleeping = Number(container.lifecycle?.preStop?.exec?.command?.[1] ?? 0)
      t.ok(pod.terminationGracePeriodSeconds! >= shutdownSeconds + 20 + sleeping)
      const { limits, requests } = container.resources!
      t.equal(requests!.memory, limits!.memory)
      t.ok(Number(limits!.cpu) >= 1, 'a process has at least one thread')
    },
  )

  t.test(`the ${name} pods share a volume that many nodes can write`, async (t) => {
    const claim = read<PersistentVolumeClaim>('claim.yaml')
    t.strictSame(claim.spec!.accessModes, ['ReadWriteMany'])
    const config = await configOf(role)
    t.ok(1024 * gibibytesOf(claim.spec!.resources!.requests!.storage) > config.maxStoredMegabytes)
    const [volume] = pod.volumes!
    t.equal(volume.persistentVolumeClaim!.claimName, claim.metadata!.name)
    t.strictSame(container.volumeMounts, [{ name: volume.name, mountPath: config.dataDir }])
  })

  t.test(`more than one ${name} pod runs, and all its resources select these pods`, async (t) => {
    const { labels } = deployment.spec!.template.metadata!
    t.ok(deployment.spec!.replicas! >= 2)
    t.strictSame(deployment.spec!.selector.matchLabels, labels)
    t.strictSame(pod.topologySpreadConstraints![0].labelSelector!.matchLabels, labels)
    const { spec: policy } = read<NetworkPolicy>(`${name}-networkpolicy.yaml`)
    t.strictSame(policy!.podSelector.matchLabels, labels)
    t.strictSame(policy!.policyTypes, ['Ingress', 'Egress'])
    t.strictSame(policy!.ingress![0].ports, [{ port: container.ports![0].name }])
    const budget = read<PodDisruptionBudget>(`${name}-poddisruptionbudget.yaml`)
    t.strictSame(budget.spec!.selector!.matchLabels, labels)
    t.ok(Number(budget.spec!.maxUnavailable) < deployment.spec!.replicas!)
  })

  t.test(`probes of ${name} pods need no token, and give a busy process time`, async (t) => {
    const { startupProbe, livenessProbe, readinessProbe, ports } = container
    const [live, ready] = name === 'http' ? ['/v2/health/live', '/v2/health/ready'] : ['/livez', '/readyz']
    for (const probe of [startupProbe!, livenessProbe!, readinessProbe!])
      t.equal(probe.httpGet?.port, ports![0].name)
    t.equal(startupProbe!.httpGet?.path, live)
    t.equal(livenessProbe!.httpGet?.path, live)
    t.equal(readinessProbe!.httpGet?.path, ready)
    t.ok(startupProbe!.periodSeconds! * startupProbe!.failureThreshold! >= 300)
    t.ok(livenessProbe!.periodSeconds! * livenessProbe!.failureThreshold! >= 60)
  })
}

t.test('both roles call the same Redis, and nothing else but the DNS', async (t) => {
  const [one, other] = roles.map(
    ({ name }) => read<NetworkPolicy>(`${name}-networkpolicy.yaml`).spec!.egress!,
  )
  t.equal(one.length, 2)
  t.strictSame(one, other)
})

t.test('an HTTP process has the public port, behind one proxy', async (t) => {
  const config = await configOf(http)
  t.equal(http.container.ports![0].containerPort, config.port)
  t.match(config, { trustProxy: 1, managementHost: '127.0.0.1' })
  const bytes = megabytes(config.maxBodyMegabytes)
  t.ok(megabytes(1024 * gibibytesOf(http.container.resources!.limits!.memory)) >= 3 * bytes)
  const service = read<Service>('http-service.yaml')
  t.strictSame(service.spec!.selector, http.deployment.spec!.template.metadata!.labels)
  t.match(service.spec!.ports, [{ targetPort: http.container.ports![0].name }])
  const [rule] = manifest<Ingress>('ingress.yaml').spec!.rules!
  t.match(rule.http!.paths[0].backend.service, {
    name: service.metadata!.name,
    port: { name: service.spec!.ports![0].name },
  })
})

t.test('a worker process has the management port alone, and memory for its engine', async (t) => {
  const { container, deployment } = worker
  t.strictSame(container.args, ['worker'])
  const config = await configOf(worker)
  t.equal(container.ports![0].containerPort, config.managementPort)
  t.equal(config.managementHost, '0.0.0.0', 'probes reach it')
  const limit = megabytes(1024 * gibibytesOf(container.resources!.limits!.memory))
  t.equal(memoryShortage(config, limit), undefined)
  t.equal(deployment.spec!.strategy!.rollingUpdate!.maxSurge, 0)
})
