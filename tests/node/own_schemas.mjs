// The fields that our examples use of kinds for which no package has a schema, as the projects define them:
// Envoy Gateway 1.9 (SecurityPolicy), Istio 1.31 (extension providers of the mesh configuration), the experimental
// channel of the Gateway API 1.6 (HTTPRoute with the filter ExternalAuth), Cilium 1.20 (CiliumNetworkPolicy),
// F5 NGINX Ingress Controller 5.5 (Policy, VirtualServer, VirtualServerRoute).
//
// Invariant: only fields that the project's own definition has.

const text = { type: 'string' }
const flag = { type: 'boolean' }
const port = { type: 'integer', minimum: 1, maximum: 65535 }
const list = (items) => ({ type: 'array', items, minItems: 1 })
const object = (required, optional = {}) => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
})
const kind = (spec) => object({ apiVersion: text, kind: text, metadata: object({ name: text, namespace: text }), spec })
const duration = { type: 'string', pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$' }

const backendRefs = list(object({ name: text, namespace: text, port }))

const HTTP_ROUTE_WITH_EXTERNAL_AUTH = kind(
  object({
    parentRefs: list(object({ name: text, namespace: text })),
    hostnames: list(text),
    rules: list(
      object({
        matches: list(object({ path: object({ type: { enum: ['PathPrefix'] }, value: text }) })),
        filters: list(
          object({
            type: { enum: ['ExternalAuth'] },
            externalAuth: object({
              protocol: { enum: ['HTTP', 'GRPC'] },
              backendRef: object({ name: text, namespace: text, port }),
              http: object({ path: text, allowedHeaders: list(text), allowedResponseHeaders: list(text) }),
            }),
          }),
        ),
        timeouts: object({ request: duration }),
        backendRefs: list(object({ name: text, port })),
      }),
    ),
  }),
)

const KINDS = {
  'cilium.io/v2 CiliumNetworkPolicy': kind(
    object({
      endpointSelector: object({ matchLabels: { type: 'object', additionalProperties: text } }),
      ingress: list(
        object({
          fromEntities: list({ enum: ['ingress'] }),
          toPorts: list(object({ ports: list(object({ port: text, protocol: { enum: ['TCP'] } })) })),
        }),
      ),
    }),
  ),
  'k8s.nginx.org/v1 Policy': kind(
    object({
      externalAuth: object({
        authURI: text,
        authServiceName: { type: 'string', pattern: '^[a-z0-9-]+/[a-z0-9-]+$' },
        authServicePorts: list(port),
        authSnippets: text,
      }),
    }),
  ),
  'k8s.nginx.org/v1 VirtualServer': kind(
    object({
      host: text,
      tls: object({ secret: text }),
      'http-snippets': text,
      'server-snippets': text,
      upstreams: list(
        object({ name: text, service: text, port }, { buffering: flag, 'client-max-body-size': text }),
      ),
      routes: list(
        object(
          { path: text },
          {
            policies: list(object({ name: text })),
            'location-snippets': text,
            action: object({ pass: text }),
            route: text,
          },
        ),
      ),
    }),
  ),
  'k8s.nginx.org/v1 VirtualServerRoute': kind(
    object({
      host: text,
      upstreams: list(
        object(
          { name: text, service: text, port },
          { 'buffer-size': text, buffers: object({ number: { type: 'integer' }, size: text }) },
        ),
      ),
      subroutes: list(object({ path: text, 'location-snippets': text, action: object({ pass: text }) })),
    }),
  ),
  'gateway.envoyproxy.io/v1alpha1 SecurityPolicy': kind(
    object({
      targetRefs: list(object({ group: text, kind: text, name: text })),
      extAuth: {
        ...object(
          {},
          {
            timeout: duration,
            failOpen: flag,
            headersToExtAuth: list(text),
            http: object({ backendRefs, path: text, headersToBackend: list(text) }),
            grpc: object({ backendRefs }),
          },
        ),
        oneOf: [{ required: ['http'] }, { required: ['grpc'] }],
      },
    }),
  ),
}

const VALUES_OF_ISTIOD = object({
  meshConfig: object({
    extensionProviders: list({
      ...object(
        { name: text },
        {
          envoyExtAuthzHttp: object(
            {
              service: text,
              port,
              pathPrefix: text,
              includeRequestHeadersInCheck: list(text),
              headersToUpstreamOnAllow: list(text),
            },
            { timeout: duration, failOpen: flag },
          ),
          envoyExtAuthzGrpc: object({ service: text, port }, { timeout: duration, failOpen: flag }),
        },
      ),
      oneOf: [{ required: ['envoyExtAuthzHttp'] }, { required: ['envoyExtAuthzGrpc'] }],
    }),
  }),
})

// The schema of an object, if it is one of these.
export function own(object) {
  if (object.meshConfig) return VALUES_OF_ISTIOD
  const filters = object.kind === 'HTTPRoute' && object.spec?.rules?.flatMap?.((rule) => rule.filters ?? [])
  if (filters && filters.some((filter) => filter.type === 'ExternalAuth')) {
    return object.apiVersion === 'gateway.networking.k8s.io/v1' ? HTTP_ROUTE_WITH_EXTERNAL_AUTH : undefined
  }
  return KINDS[`${object.apiVersion} ${object.kind}`]
}
