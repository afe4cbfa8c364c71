import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StatefulSet } from 'kubernetes-types/apps/v1.js'
import type { Service } from 'kubernetes-types/core/v1.js'
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
  type Resource,
  manifest as read,
  variablesOf,
} from './kubernetes.ts'

const image = settingsOfImage()
const { spec: set } = read<StatefulSet>('statefulset.yaml')
const pod = set!.template.spec!
const [container] = pod.containers
const env = variablesOf(container)

t.test('all resources have the fields of their kinds', async (t) => {
  const { resources, images } = read<Kustomization>('kustomization.yaml')
  const files = readdirSync(MANIFESTS).filter(
    (name) => name.endsWith('.yaml') && name !== 'kustomization.yaml',
  )
  t.strictSame([...resources, 'ingress.yaml'].sort(), files.sort())
  for (const file of files) t.equal(complaints(t, read<Resource>(file)), '', file)
  t.match(
    complaints(t, { apiVersion: 'v1', kind: 'Service', spec: { selectors: {} } } as never),
    /selectors/,
    'a misspelt field is noticed',
  )
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.strictSame(images, [{ name: container.image, newTag: version }])
})

t.test('the pod has no rights that it does not need', async (t) => {
  t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
  t.strictSame(container.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  t.equal(pod.automountServiceAccountToken, false)
  const { user, volumes } = image
  t.equal(`${pod.securityContext?.runAsUser}:${pod.securityContext?.runAsGroup}`, user)
  t.equal(String(pod.securityContext?.fsGroup), user.split(':')[1])
  t.strictSame(
    container.volumeMounts?.map(({ mountPath }) => mountPath),
    volumes,
  )
  t.strictSame(
    set!.volumeClaimTemplates?.map(({ metadata }) => metadata?.name),
    container.volumeMounts?.map(({ name }) => name),
  )
})

t.test('the settings are those of the service, and fit the limits of the pod', async (t) => {
  const names = Object.keys(configSchema.shape).map(environmentName)
  for (const name of Object.keys(env)) t.ok(names.includes(name), name)
  // Variables of the image hold where the manifest has none.
  const config = await readConfig({ env: { POLYVEIL_MODELS_DIR: '.', ...image.env, ...env } })
  t.equal(pod.enableServiceLinks, false, 'no variables of Services take the place of settings')
  t.ok(pod.terminationGracePeriodSeconds! >= config.shutdownSeconds + 20)
  t.match(config, { access: 'tokens', trustProxy: 1 })
  t.equal(set!.replicas, 1, 'the data directory is locked')
  const { limits, requests } = container.resources!
  t.equal(requests!.memory, limits!.memory)
  t.equal(memoryShortage(config, megabytes(1024 * gibibytesOf(limits!.memory))), undefined)
  const [claim] = set!.volumeClaimTemplates!
  const stored = gibibytesOf(claim.spec!.resources!.requests!.storage)
  t.ok(1024 * stored > config.maxStoredMegabytes)
  t.ok(Number(limits!.cpu) >= 1, 'the service has at least one thread')
  t.equal(container.ports![0].containerPort, config.port)
})

t.test('probes ask routes that need no token, and give a busy service time', async (t) => {
  const { startupProbe, livenessProbe, readinessProbe } = container
  for (const probe of [startupProbe!, livenessProbe!, readinessProbe!])
    t.equal(probe.httpGet?.port, container.ports![0].name)
  t.equal(startupProbe!.httpGet?.path, '/v2/health/live')
  t.equal(livenessProbe!.httpGet?.path, '/v2/health/live')
  t.equal(readinessProbe!.httpGet?.path, '/v2/health/ready')
  t.ok(startupProbe!.periodSeconds! * startupProbe!.failureThreshold! >= 300)
  t.ok(livenessProbe!.periodSeconds! * livenessProbe!.failureThreshold! >= 60)
})

t.test('all resources select the pod and reach its port', async (t) => {
  const { labels } = set!.template.metadata!
  const service = read<Service>('service.yaml')
  t.strictSame(set!.selector.matchLabels, labels)
  t.strictSame(service.spec!.selector, labels)
  t.strictSame(read<NetworkPolicy>('networkpolicy.yaml').spec!.podSelector.matchLabels, labels)
  t.strictSame(read<PodDisruptionBudget>('poddisruptionbudget.yaml').spec!.selector!.matchLabels, labels)
  t.equal(set!.serviceName, service.metadata!.name)
  t.match(service.spec!.ports, [{ targetPort: container.ports![0].name }])
  t.ok(service.spec!.publishNotReadyAddresses, 'refresh rounds reach a pod that ends')
  const [rule] = read<Ingress>('ingress.yaml').spec!.rules!
  t.match(rule.http!.paths[0].backend.service, {
    name: service.metadata!.name,
    port: { name: service.spec!.ports![0].name },
  })
  const policy = read<NetworkPolicy>('networkpolicy.yaml').spec!
  t.strictSame(policy.policyTypes, ['Ingress', 'Egress'])
  t.strictSame(policy.egress, [], 'the service calls nobody')
})

t.test('the ingress has the limits of docker/nginx.conf', async (t) => {
  const nginx = readFileSync(join(ROOT, 'docker/nginx.conf'), 'utf8')
  const annotations = read<Ingress>('ingress.yaml').metadata!.annotations!
  const directives = {
    'proxy-body-size': 'client_max_body_size',
    'proxy-request-buffering': 'proxy_request_buffering',
    'proxy-buffering': 'proxy_buffering',
    'proxy-http-version': 'proxy_http_version',
    'proxy-read-timeout': 'proxy_read_timeout',
    'proxy-send-timeout': 'proxy_send_timeout',
    'proxy-next-upstream': 'proxy_next_upstream',
  }
  for (const [annotation, directive] of Object.entries(directives)) {
    const [, value] = new RegExp(`^\\s*${directive} (\\w[\\w.]*?)s?;$`, 'm').exec(nginx)!
    t.equal(annotations[`nginx.ingress.kubernetes.io/${annotation}`], value, annotation)
  }
})
