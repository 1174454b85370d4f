// Checks Kubernetes objects against the schemas of their kinds. Reads a JSON list of objects from standard input, and
// writes for each one by what it was checked and what is wrong with it.
//
// Invariant: an unknown kind and an unknown field are wrong. The validators of the packages read each field that they
// know and no other, so a field that was never read is unknown.
import Ajv from 'ajv'
import { own } from './own_schemas.mjs'

const PACKAGES = {
  apps: 'kubernetes-models/',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api/',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/',
  'networking.istio.io': '@kubernetes-models/istio/',
  'networking.k8s.io': 'kubernetes-models/',
  policy: 'kubernetes-models/',
  'security.istio.io': '@kubernetes-models/istio/',
  'traefik.io': '@kubernetes-models/traefik/',
  v1: 'kubernetes-models/',
}

const ajv = new Ajv({ strict: false, allErrors: true })

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const answers = []
for (const object of JSON.parse(Buffer.concat(chunks))) answers.push(await answer(object))
process.stdout.write(JSON.stringify(answers))

async function answer(object) {
  const group = (object.apiVersion ?? '').split('/')[0]
  const schema = own(object)
  if (schema) return { by: 'fields', wrong: await check(object, ownValidator(schema)) }
  const found = PACKAGES[group] && (await model(object))
  if (!found) return { by: null, wrong: [`unknown kind ${object.apiVersion} ${object.kind}`] }
  return { by: 'schema', wrong: await check(object, (seen) => found.prototype.validate.call(seen)) }
}

async function model({ apiVersion, kind }) {
  const path = `${PACKAGES[apiVersion.split('/')[0]]}${apiVersion}/${kind}`
  try {
    return (await import(path))[kind]
  } catch {
    return null
  }
}

function ownValidator(schema) {
  const validate = ajv.compile(schema)
  return (seen) => {
    if (!validate(seen)) throw new Error(ajv.errorsText(validate.errors))
  }
}

async function check(object, validate) {
  const read = new Set()
  try {
    validate(watched(object, '', read))
  } catch (error) {
    return [error.message]
  }
  return fields(object, '').filter((path) => !read.has(path)).map((path) => `unknown field ${path}`)
}

// The same value, which notes the path of each field that is read.
function watched(value, path, read) {
  if (value === null || typeof value !== 'object') return value
  return new Proxy(value, {
    get(target, name) {
      if (typeof name !== 'string' || !Object.hasOwn(target, name)) return target[name]
      read.add(`${path}/${name}`)
      return watched(target[name], `${path}/${name}`, read)
    },
  })
}

function fields(value, path) {
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([name, inner]) => [
    ...(Array.isArray(value) ? [] : [`${path}/${name}`]),
    ...fields(inner, `${path}/${name}`),
  ])
}
