// Sign-ins at Keycloak.

import assert from 'node:assert/strict';
import { check, checked, logged, until } from '../support.mjs';
import { KIND } from './realms.mjs';
import { typeIn } from './visitor.mjs';

export async function signIns(stage) {
  await check('a user signs in with Chromium and reaches the requested page', () => withABrowser(stage));
  await Promise.all([
    check('groups come with their full path, roles by a mapper, and rules use both', () => groups(stage)),
    check('a user of 300 groups signs in, and a rule uses the last one', () => manyGroups(stage)),
    check('an e-mail that is not verified has no value', () => unverified(stage)),
    check('a public client signs in', () => signsIn(stage, 'public')),
    check('a provider with an internal address is reached only there', () => split(stage)),
    check('a signed userinfo costs its claims, or the sign-in if userinfo is required', () => userinfo(stage, 'signed')),
    check('roles are read from the access token, and a role that was taken away is gone after the refresh', () => roles(stage)),
    check('a lightweight access token has no roles', () => noRoles(stage)),
    check('a lightweight access token has no userinfo, which costs the same', () => userinfo(stage, 'lightweight')),
    check('an unknown scope ends on a page that says so', () => unknownScope(stage)),
    check('a wrong secret is an error of the provider, and the log names it', () => wrongSecret(stage)),
    keys(stage),
    check('a certificate authenticates a sign-in, a refresh, and the revocation of a sign-out', () => certificate(stage)),
    check('a wrong certificate is an error of the provider, and the log names it', () => wrongCredential(stage, 'certificate')),
    check('a certificate that Keycloak does not trust is in the log', () => foreignCertificate(stage)),
    check('an authorization response without its `iss`, or of another realm, is rejected', () => issuers(stage)),
    check('a user who is denied can use another account, and has to type a password', () => anotherAccount(stage)),
    check('check --online finds what is wrong with a registration', () => online(stage)),
  ]);
}

async function withABrowser({ browser, gateway, origin }) {
  const page = await (await browser.newContext()).newPage();
  const visited = [];
  page.on('request', (request) => { visited.push(new URL(request.url())); });
  await page.goto(`${gateway}/wiki/page?a=b`);
  assert.ok(page.url().startsWith(`${origin}/realms/company/`), page.url());
  await typeIn(page, 'alice');
  await page.getByText('alice@example.com').waitFor();
  assert.equal(page.url(), `${gateway}/wiki/page?a=b`);
  const [asked, answered] = ['/auth', '/oauth2/callback'].map((end) => (
    visited.find(({ pathname }) => pathname.endsWith(end)).searchParams));
  // The client at Keycloak demands it.
  assert.equal(asked.get('code_challenge_method'), 'S256');
  assert.equal(answered.get('iss'), `${origin}/realms/company`);
}

async function signsIn({ visitor }, provider, login = 'alice') {
  const user = await visitor();
  const response = await user.signIn(`/${provider}`, login);
  assert.equal(response.status(), 200, `${response.url()} ${await response.text()}`);
  return { user, headers: await response.json() };
}

async function groups(stage) {
  const { user, headers } = await signsIn(stage, 'wiki');
  assert.deepEqual(headers['x-forwarded-groups'].split(',').toSorted(), ['/staff', '/staff/operators']);
  const paths = ['/staff', '/editors', '/operators'];
  const statuses = await Promise.all(paths.map(async (path) => (await user.ask(path)).status));
  assert.deepEqual(statuses, [200, 200, 403], 'the group `operators` is `/staff/operators`');
}

async function manyGroups(stage) {
  const { user, headers } = await signsIn(stage, 'wiki', 'carol');
  assert.equal(headers['x-forwarded-email'], 'carol@example.com');
  // Longer than limits.identity_header_bytes.
  assert.equal(headers['x-forwarded-groups'], undefined);
  const { status } = await user.ask('/last-group');
  assert.equal(status, 200);
}

async function unverified(stage) {
  const { user, headers } = await signsIn(stage, 'wiki', 'dave');
  assert.ok(headers['x-forwarded-user']);
  assert.equal(headers['x-forwarded-email'], undefined);
  assert.equal((await user.ask('/domain')).status, 403);
}

async function split(stage) {
  const { exchanges, keycloak, origin } = stage;
  const { user } = await signsIn(stage, 'split');
  const { accessClaims, idClaims } = await user.tokens('split');
  assert.equal(idClaims.iss, `${origin}/realms/company`);
  await user.refreshed('split', (tokens) => tokens.accessClaims.jti !== accessClaims.jti);
  await user.context.request.get(`${stage.gateway}/oauth2/sign_out`, { maxRedirects: 0 });
  const sent = exchanges.filter(({ body, headers }) => body.includes('client_id=split') || clientOf(headers) === 'split');
  assert.deepEqual(sent.map(({ url }) => url), [], `all go to ${keycloak.internal}`);
}

/// The client that authenticates itself by these headers.
export function clientOf({ authorization = '' }) {
  return Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString().split(':')[0];
}

async function userinfo(stage, provider) {
  const { headers } = await signsIn(stage, provider);
  assert.equal(headers['x-forwarded-email'], 'alice@example.com', 'of the ID token');
  assert.equal(headers['x-forwarded-groups'], undefined, 'only in userinfo');
  await logged(new RegExp(`"level":"WARN",.*userinfo.*"provider":"${provider}"`));
  const response = await (await stage.visitor()).signIn(`/${provider}-required`, 'alice');
  assert.ok(response.status() >= 400, `${response.status()}`);
  assert.ok(response.url().startsWith(stage.gateway), response.url());
}

async function roles(stage) {
  const { keycloak } = stage;
  const { user, headers } = await signsIn(stage, 'roles', 'grace');
  assert.ok(headers['x-forwarded-groups'].split(',').includes('editor'), headers['x-forwarded-groups']);
  assert.equal((await user.ask('/roles/editors')).status, 200);
  const [path, role] = await Promise.all([
    keycloak.userPath('company', 'grace'), keycloak.admin('GET', '/company/roles/editor')]);
  await keycloak.admin('DELETE', `${path}/role-mappings/realm`, [role]);
  await until('the role is gone', async () => (await user.ask('/roles/editors')).status === 403);
  assert.equal((await user.ask('/roles')).status, 200);
}

async function noRoles(stage) {
  const { headers } = await signsIn(stage, 'lightweight-roles', 'grace');
  assert.equal(headers['x-forwarded-email'], 'grace@example.com');
  assert.equal(headers['x-forwarded-groups'], undefined);
}

async function unknownScope({ visitor, gateway }) {
  const response = await (await visitor()).open('/unknown-scope');
  assert.ok(response.url().startsWith(`${gateway}/oauth2/callback`), response.url());
  assert.equal(response.status(), 502);
  assert.match(await response.text(), /Signing in is not set up correctly/);
  await logged(/"provider":"unknown-scope".*invalid_scope/);
}

async function wrongSecret({ visitor, gateway }) {
  const response = await (await visitor()).signIn('/wrong-secret', 'alice');
  assert.ok(response.url().startsWith(`${gateway}/oauth2/callback`), response.url());
  assert.equal(response.status(), 502);
  assert.match(await response.text(), /Signing in is not set up correctly/);
  await logged(/wrong-secret.*unauthorized_client/);
}

// The second one is about the same client, whose requests the first one counts.
async function keys(stage) {
  await check('private_key_jwt authenticates a sign-in, a refresh, and the revocation of a sign-out', () => privateKey(stage));
  await check('a wrong key is an error of the provider, and the log names it', () => wrongCredential(stage, 'key'));
}

async function privateKey(stage) {
  const { exchanges, gateway } = stage;
  const { user } = await signsIn(stage, 'signing');
  const { accessClaims } = await user.tokens('signing');
  await user.refreshed('signing', (tokens) => tokens.accessClaims.jti !== accessClaims.jti);
  await user.context.request.get(`${gateway}/oauth2/sign_out`, { maxRedirects: 0 });
  const made = () => exchanges.filter(({ body }) => new URLSearchParams(body).get('client_id') === 'signing');
  await until('the refresh token is revoked', () => made().some(({ url, status }) => url.endsWith('/revoke') && status));
  for (const { url, status, headers, body } of made()) {
    assert.deepEqual([status, headers.authorization], [200, undefined], url);
    assert.ok(new URLSearchParams(body).get('client_assertion'), url);
  }
}

async function certificate(stage) {
  const { gateway, keycloak } = stage;
  const { user } = await signsIn(stage, 'certificate', 'frank');
  const { accessClaims } = await user.tokens('certificate');
  await user.refreshed('certificate', (tokens) => tokens.accessClaims.jti !== accessClaims.jti);
  const path = `${await keycloak.clientPath('company', 'certificate')}/user-sessions`;
  const sessions = async () => (await keycloak.admin('GET', path)).filter(({ username }) => username === 'frank').length;
  assert.equal(await sessions(), 1);
  await user.context.request.get(`${gateway}/oauth2/sign_out`, { maxRedirects: 0 });
  // The revocation of its last refresh token ends a session at Keycloak.
  await until('the refresh token is revoked', async () => (await sessions()) === 0);
}

// It ends the connection: no request arrives.
async function foreignCertificate({ visitor }) {
  const response = await (await visitor()).open('/foreign-certificate');
  assert.equal(response.status(), 503);
  assert.match(await response.text(), /The sign-in service does not answer/);
  await logged(/"provider":"foreign-certificate".*received fatal alert: CertificateUnknown/);
}

async function wrongCredential({ visitor }, what) {
  const response = await (await visitor()).signIn(`/wrong-${what}`, 'alice');
  assert.equal(response.status(), 502);
  assert.match(await response.text(), /Signing in is not set up correctly/);
  await logged(new RegExp(`"provider":"wrong-${what}","error":"client authentication failed: .*invalid_client`));
}

async function issuers({ visitor, gateway, origin }) {
  for (const forged of [undefined, `${origin}/realms/rotating`]) {
    const user = await visitor();
    const callback = await user.callback('/wiki', 'alice');
    callback.searchParams.delete('iss');
    if (forged) callback.searchParams.set('iss', forged);
    const response = await user.context.request.get(callback.href);
    assert.equal(response.status(), 400);
    assert.equal((await user.ask('/wiki')).status, 401);
  }
}

async function anotherAccount({ browser, gateway, origin }) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${gateway}/staff`);
  await typeIn(page, 'frank');
  await page.getByRole('heading', { name: 'You have no access' }).waitFor();
  // Keycloak does not know prompt=select_account.
  const [asked] = await Promise.all([
    page.waitForRequest((request) => request.url().startsWith(`${origin}/realms/company/protocol/openid-connect/auth`)),
    page.getByRole('link', { name: 'Use another account' }).click(),
  ]);
  assert.equal(new URL(asked.url()).searchParams.get('prompt'), 'login');
  await page.getByLabel('Password', { exact: true }).waitFor();
}

async function online({ gateway, origin }) {
  const run = async (name, provider, gatewayUrl = gateway) => {
    const issuer = `${origin}/realms/company`;
    const whole = { kind: KIND, issuer, client_id: 'wiki', client_secret: 'secret-of-wiki', ...provider };
    const text = `server: { public_url: "${gatewayUrl}" }\nproviders: { company: ${JSON.stringify(whole)} }\n`
      + 'routes: [{ upstream: "http://127.0.0.1:1", allow: authenticated }]\n';
    return checked(name, text, '--online');
  };
  const [right, elsewhere, secret, scope, realm] = await Promise.all([
    run('right', {}),
    run('elsewhere', {}, 'http://localhost:1'),
    run('secret', { client_secret: 'another' }),
    run('scope', { scopes: ['openid', 'groups'] }),
    run('realm', { issuer: `${origin}/realms/none` }),
  ]);
  assert.equal(right.code, 0, right.output);
  const passed = "its metadata, its keys, the client's authentication, the redirect URI, the way back from sign-out";
  assert.ok(right.output.includes(`company: OK: ${passed}\n`), right.output);
  assert.deepEqual([elsewhere, secret, scope, realm].map(({ code }) => code), [78, 78, 78, 78]);
  assert.match(elsewhere.output, /the redirect URI http:\/\/localhost:1\/oauth2\/callback \(HTTP 400\)/);
  assert.match(elsewhere.output, /the post-logout redirect URI http:\/\/localhost:1\/oauth2\/signed_out \(HTTP 400\)/);
  assert.match(secret.output, /client_secret: is not what is registered .*: the provider answered unauthorized_client/);
  assert.match(scope.output, /scopes: does not work at the provider: the provider answered invalid_scope/);
  assert.match(realm.output, /issuer: cannot be used: unexpected status 404/);
}
