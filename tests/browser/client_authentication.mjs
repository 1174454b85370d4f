// Every way of client authentication at a certified provider, with the keys that `check` prints: each client signs in,
// refreshes and signs out. The provider has another host for clients with certificates (RFC 8705 §5).

import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, randomUUID, sign } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { authority, certify } from '../node/certificates.mjs';
import { startProvider } from '../node/op.mjs';
import {
  check, checked, folder, freePort, keysToRegister, logged, run, startApplication, startGateway, until, write,
} from './support.mjs';

const SECRET = 'a secret of more than 32 bytes: with ?, %41 and +';
const LOCATIONS = { plain: '127.0.0.1', alias: '127.0.0.2' };
const gateway = `http://localhost:${await freePort()}`;
const port = await freePort();
const issuer = `https://${LOCATIONS.plain}:${port}`;

const ours = authority(folder, 'ours');
const [tls, aliasTls] = ['plain', 'alias'].map((name) => certify(folder, name, ours, `IP:${LOCATIONS[name]}`));
const ofClients = authority(folder, 'of-clients');
certify(folder, 'client', ofClients, 'DNS:gateway.example');
certify(folder, 'other-client', ofClients, 'DNS:other.example');
// Self-signed.
for (const name of ['self-signed', 'other-self-signed']) authority(folder, name);

const keyFile = (name) => ({ client_key: `${name}.key` });
const certificate = (name) => ({ client_certificate: `${name}.pem`, ...keyFile(name) });

// The gateway's providers, by the ID of their clients too: what the gateway has, what the provider registers, and how
// requests authenticate the client.
const CLIENTS = {
  basic: { method: 'client_secret_basic', has: ['header'], ours: { client_secret: SECRET } },
  post: { method: 'client_secret_post', has: ['client_secret'], ours: { client_secret: SECRET } },
  'secret-jwt': { method: 'client_secret_jwt', has: ['client_assertion'], ours: { client_secret: SECRET } },
  'private-key': { method: 'private_key_jwt', has: ['client_assertion'], ours: keyFile('plain') },
  'assertion-file': {
    method: 'client_assertion_file', has: ['client_assertion'], ours: { client_assertion_file: 'assertion.jwt' },
  },
  tls: {
    method: 'tls_client_auth',
    has: ['certificate'],
    // Its access tokens are bound to the certificate.
    ours: { ...certificate('client'), userinfo: 'always' },
    theirs: { tls_client_auth_san_dns: 'gateway.example', tls_client_certificate_bound_access_tokens: true },
  },
  'self-signed': { method: 'self_signed_tls_client_auth', has: ['certificate'], ours: certificate('self-signed') },
  public: { method: 'none', has: [], ours: {} },
};
// The same clients with wrong credentials.
const WRONG = {
  'wrong-secret': ['secret-jwt', { client_secret: `${SECRET}!` }],
  'wrong-key': ['private-key', keyFile('other-client')],
  'wrong-assertion': ['assertion-file', { client_assertion_file: 'wrong-assertion.jwt' }],
  'wrong-name': ['tls', certificate('other-client')],
  'wrong-authority': ['tls', certificate('self-signed')],
  'wrong-certificate': ['self-signed', certificate('other-self-signed')],
};

const provider = ([id, client_id, credentials]) => [id, {
  issuer, ca: 'ours.pem', client_id, token_endpoint_auth_method: CLIENTS[client_id].method, ...credentials,
}];
const right = Object.fromEntries(Object.keys(CLIENTS).map((id) => provider([id, id, CLIENTS[id].ours])));
const wrong = Object.fromEntries(Object.entries(WRONG).map(([id, [client, credentials]]) => (
  provider([id, client, { ...CLIENTS[client].ours, ...credentials }]))));

// JSON is YAML.
function configuration(providers, application) {
  const sections = {
    server: { listen: new URL(gateway).host, public_url: gateway },
    providers,
    routes: Object.keys(providers).map((id) => (
      { path: `/${id}`, upstream: application, providers: [id], allow: 'authenticated' })),
  };
  return Object.entries(sections).map(([key, section]) => `${key}: ${JSON.stringify(section)}`).join('\n');
}

// A JWT of another system that vouches for the client. The provider accepts each once.
function assertion(name, key) {
  const now = Math.floor(Date.now() / 1000);
  const client = 'assertion-file';
  const claims = { iss: client, sub: client, aud: issuer, jti: randomUUID(), iat: now, exp: now + 300 };
  const [header, body] = [{ alg: 'ES256' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  const signature = sign('sha256', `${header}.${body}`, {
    key: createPrivateKey(fs.readFileSync(path.join(folder, `${key}.key`))), dsaEncoding: 'ieee-p1363',
  });
  // Replaced as a whole: the gateway reads it at any time.
  write(`${name}.new`, `${header}.${body}.${signature.toString('base64url')}\n`);
  fs.renameSync(path.join(folder, `${name}.new`), path.join(folder, name));
}
const renewAssertion = () => assertion('assertion.jwt', 'client');
renewAssertion();
assertion('wrong-assertion.jwt', 'other-client');

const application = await startApplication();

const printed = await keysToRegister(configuration(right, application));
const { aliasOrigin, requests, stop } = await startProvider({
  redirectUris: [`${gateway}/oauth2/callback`],
  postLogoutRedirectUris: [`${gateway}/oauth2/signed_out`],
  host: LOCATIONS.plain,
  port,
  tls,
  alias: { host: LOCATIONS.alias, ...aliasTls, ca: fs.readFileSync(path.join(folder, `${ofClients}.pem`)) },
  clients: Object.entries(CLIENTS).map(([client_id, { method, ours: { client_secret }, theirs }]) => ({
    client_id,
    client_secret,
    jwks: jwks(client_id),
    token_endpoint_auth_method: registeredMethod(method),
    ...theirs,
  })),
});

await run(async (browser) => {
  await startGateway('clients', configuration({ ...right, ...wrong }, application));
  const visitor = async () => (await browser.newContext({ ignoreHTTPSErrors: true })).request;

  await check('check --online accepts each client', online);
  renewAssertion();
  await Promise.all(Object.keys(CLIENTS).map((id) => (
    check(`${CLIENTS[id].method} authenticates a sign-in, a refresh, and the revocation of a sign-out`, async () => {
      await session(id, await visitor());
    }))));
  await check('the host for clients with certificates is used with these, and only with these', hosts);
  await Promise.all(Object.keys(WRONG).map((id) => (
    check(`a sign-in with a ${id.replace('-', ' ')} ends on a page, and the log tells the operator`, async () => {
      await rejected(id, await visitor());
    }))));
  await check('check --online finds each wrong credential', onlineWrong);
});
await stop();

// At this provider another system vouches with a key of the client.
function registeredMethod(method) {
  return method === 'client_assertion_file' ? 'private_key_jwt' : method;
}

// The keys of a client: as `check` prints them, or of the system that vouches for it.
function jwks(client) {
  const jwk = client === 'assertion-file'
    ? createPublicKey(fs.readFileSync(path.join(folder, 'client.key'))).export({ format: 'jwk' })
    : printed[client];
  return jwk && { keys: [jwk] };
}

async function online() {
  const { code, output } = await checked('right', configuration(right, application), '--online');
  assert.equal(code, 0, output);
  for (const id of Object.keys(CLIENTS)) {
    assert.match(output, new RegExp(`^${id}: OK: .*the client's authentication`, 'm'), output);
  }
}

// The requests of a client so far to these endpoints.
function requestsOf(client, endpoints = ['authorization_code', 'refresh_token', 'revocation']) {
  return requests.filter((request) => request.client === client && endpoints.includes(request.endpoint));
}

// Signs in at the provider's form, and returns the last response.
async function signIn(request, id) {
  const form = await request.get(`${gateway}/${id}`, { headers: { accept: 'text/html' } });
  assert.ok(form.url().startsWith(issuer), form.url());
  return request.post(form.url(), { headers: { accept: 'text/html' }, form: { login: 'alice', password: 'any' } });
}

async function session(id, request) {
  const { method, has } = CLIENTS[id];
  const before = requests.length;
  const response = await signIn(request, id);
  assert.equal(response.status(), 200, `${response.url()} ${await response.text()}`);
  assert.match(await response.text(), /alice at/);
  renewAssertion();
  await until(`${id} refreshes`, async () => {
    assert.equal((await request.get(`${gateway}/${id}`, { maxRedirects: 0 })).status(), 200);
    return requestsOf(id, ['refresh_token']).length > 0;
  });
  renewAssertion();
  await request.get(`${gateway}/oauth2/sign_out`, { maxRedirects: 0 });
  await until(`${id} revokes`, () => requestsOf(id, ['revocation']).length > 0);
  const made = requests.slice(before).filter(({ client, endpoint }) => client === id && endpoint !== 'userinfo');
  assert.deepEqual(made.map(({ endpoint }) => endpoint), ['authorization_code', 'refresh_token', 'revocation']);
  for (const one of made) {
    assert.deepEqual([one.status, one.registered, one.has], [200, registeredMethod(method), has]);
    if (has.includes('client_assertion')) assert.equal(one.claims.aud, issuer);
  }
  const assertions = new Set(made.flatMap(({ claims }) => (claims ? [claims.jti] : [])));
  assert.equal(assertions.size, has.includes('client_assertion') ? 3 : 0, 'each request has its own');
}

function hosts() {
  const alias = new URL(aliasOrigin).host;
  for (const { client, endpoint, host, has } of requests) {
    const expected = CLIENTS[client]?.has.includes('certificate') ? alias : new URL(issuer).host;
    assert.equal(host, expected, `${client} ${endpoint} ${has}`);
  }
  const userinfo = requestsOf('tls', ['userinfo']);
  assert.ok(userinfo.length > 0 && userinfo.every(({ status, host }) => status === 200 && host === alias));
}

async function rejected(id, request) {
  const response = await signIn(request, id);
  const page = await response.text();
  assert.ok(response.url().startsWith(`${gateway}/oauth2/callback`), response.url());
  assert.equal(response.status(), 502);
  assert.match(page, /Signing in is not set up correctly/);
  await logged(new RegExp(`sign-in failed","provider":"${id}","error":"client authentication failed: .*invalid_client`));
}

async function onlineWrong() {
  const { code, output } = await checked('wrong', configuration(wrong, application), '--online');
  assert.equal(code, 78, output);
  for (const [id, [client, credentials]] of Object.entries(WRONG)) {
    const [key] = Object.keys(credentials);
    const start = `error: providers\\.${id}\\.${key}: is not what is registered at the provider: .*invalid_client`;
    const hint = `compare client_id, ${key} and the authentication method, which is ${CLIENTS[client].method}, with`;
    assert.match(output, new RegExp(`${start}.*\\n.*${hint}`));
  }
}
