// Refreshes at Keycloak, and what ends a session there.

import assert from 'node:assert/strict';
import { check, until } from '../support.mjs';
import { ACCESS_TOKEN_SECONDS } from './realms.mjs';
import { clientOf } from './sign_ins.mjs';
import { userPage } from './sign_outs.mjs';
import { expired } from './visitor.mjs';

export async function refreshes(stage) {
  await Promise.all([
    check('tokens are refreshed without rotation of the refresh token', () => without(stage)),
    check('tokens are refreshed with rotation, and 20 requests at once make one token request', () => rotation(stage)),
    check('the session of a user who was disabled ends', () => disabled(stage)),
    check('a recheck ends the session of a user who was disabled, whose access token is valid', () => rechecked(stage)),
    check('a session that was revoked ends', () => revoked(stage)),
    check('the sessions of a realm that was disabled end', () => closed(stage)),
    check('a later auth_time does not end the session', () => authTime(stage)),
    check('an audience that grew does not end the session', () => audience(stage)),
    check('a changed secret is an outage, and no sign-out', () => secret(stage)),
    check('new keys are found by sign-ins and refreshes, and sign-outs leave out a hint of a disabled key', () => keys(stage)),
  ]);
}

/// The token requests of a client so far that refresh.
const refreshesOf = ({ exchanges }, client) => exchanges.filter(({ url, headers, body }) => (
  url.endsWith('/token') && clientOf(headers) === client && body.includes('grant_type=refresh_token')));

async function signedIn({ visitor }, provider, login = 'alice') {
  const user = await visitor();
  const response = await user.signIn(`/${provider}`, login);
  assert.equal(response.status(), 200, response.url());
  return { user, tokens: await user.tokens(provider) };
}

const isNewer = (before) => ({ accessClaims }) => accessClaims.jti !== before.accessClaims.jti;

async function without(stage) {
  const { user, tokens } = await signedIn(stage, 'refreshed');
  const second = await user.refreshed('refreshed', isNewer(tokens));
  const third = await user.refreshed('refreshed', isNewer(second));
  assert.equal(third.idClaims.sub, tokens.idClaims.sub);
  assert.ok((await user.ask('/refreshed')).headers['x-forwarded-groups'].includes('/staff/operators'));
}

async function rotation(stage) {
  const { user, tokens } = await signedIn(stage, 'rotating', 'bob');
  const second = await user.refreshed('rotating', isNewer(tokens));
  await expired(await user.refreshed('rotating', isNewer(second)));
  const [before, began] = [refreshesOf(stage, 'rotating').length, Date.now()];
  const answers = await Promise.all(Array.from({ length: 20 }, () => user.ask('/rotating/tokens')));
  assert.deepEqual(answers.map(({ status }) => status), Array(20).fill(200));
  // If all of it takes longer than half the life of a token, the next refresh is due.
  const due = 1 + Math.floor((Date.now() - began) / (ACCESS_TOKEN_SECONDS * 500));
  const made = refreshesOf(stage, 'rotating').slice(before);
  assert.ok(made.length >= 1 && made.length <= due, `${made.length} of ${due}`);
  const [first, ...later] = refreshesOf(stage, 'rotating');
  assert.deepEqual([first, ...later].map(({ status }) => status).filter((status) => status !== 200), []);
  // Each refresh token works once.
  const reuse = await fetch(stage.origin + first.url, {
    method: 'POST', headers: { authorization: first.headers.authorization }, body: new URLSearchParams(first.body),
  });
  assert.deepEqual([reuse.status, (await reuse.json()).error], [400, 'invalid_grant']);
}

async function refused(stage, client, status) {
  const statuses = refreshesOf(stage, client).map((exchange) => exchange.status);
  assert.ok(statuses.includes(status), `${statuses}`);
}

async function disabled(stage) {
  const { user } = await signedIn(stage, 'refreshed', 'bob');
  await stage.keycloak.change(await stage.keycloak.userPath('company', 'bob'), { enabled: false });
  await user.ended('refreshed');
  await refused(stage, 'refreshed', 400);
}

async function rechecked(stage) {
  const user = await stage.visitor(stage.rechecking);
  assert.equal((await user.signIn('/rechecked', 'heidi')).status(), 200);
  const rechecks = () => refreshesOf(stage, 'rechecked').map(({ status }) => status);
  await until('the session stands', async () => {
    assert.equal((await user.ask('/rechecked')).status, 200);
    return rechecks().includes(200);
  });
  const { accessClaims } = await user.tokens('rechecked');
  await stage.keycloak.change(await stage.keycloak.userPath('company', 'heidi'), { enabled: false });
  await user.ended('rechecked');
  assert.equal(rechecks().at(-1), 400);
  assert.ok(Date.now() / 1000 < accessClaims.exp);
}

async function revoked(stage) {
  const { user } = await signedIn(stage, 'refreshed', 'erin');
  await stage.keycloak.admin('POST', `${await stage.keycloak.userPath('company', 'erin')}/logout`);
  await user.ended('refreshed');
  await refused(stage, 'refreshed', 400);
}

async function closed(stage) {
  const { user } = await signedIn(stage, 'closing', 'bob');
  await stage.keycloak.admin('PUT', '/closing', { enabled: false });
  await user.ended('closing');
  await refused(stage, 'closing', 403);
}

async function authTime(stage) {
  const { user, tokens } = await signedIn(stage, 'refreshed');
  await until('a second has passed', () => Date.now() / 1000 > tokens.idClaims.auth_time + 1);
  // Another client of the same single sign-on, for which the user types the password again.
  const elsewhere = new URL(`${stage.origin}/realms/company/protocol/openid-connect/auth`);
  elsewhere.search = new URLSearchParams({
    client_id: 'portal', redirect_uri: `${stage.application}/portal`, response_type: 'code', scope: 'openid', prompt: 'login',
  });
  const form = await user.context.request.get(elsewhere.href);
  assert.equal(new URL((await user.submit(form, 'alice')).url()).pathname, '/portal');
  const { idClaims } = await user.refreshed('refreshed', ({ idClaims: now }) => now.auth_time > tokens.idClaims.auth_time);
  assert.equal(idClaims.sub, tokens.idClaims.sub);
}

async function audience(stage) {
  const { user } = await signedIn(stage, 'audience');
  await stage.keycloak.admin('POST', `${await stage.keycloak.clientPath('company', 'audience')}/protocol-mappers/models`, {
    name: 'audience',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': 'wiki', 'id.token.claim': 'true', 'access.token.claim': 'true' },
  });
  const { idClaims } = await user.refreshed('audience', ({ idClaims: now }) => Array.isArray(now.aud));
  assert.deepEqual(idClaims.aud.toSorted(), ['audience', 'wiki']);
  assert.equal((await user.ask('/audience')).status, 200);
}

async function secret(stage) {
  const { user } = await signedIn(stage, 'secret');
  const client = await stage.keycloak.clientPath('company', 'secret');
  await stage.keycloak.change(client, { secret: 'a-new-secret' });
  // An expired access token is not forwarded. The session goes on.
  await until('the access token expires', async () => {
    assert.equal((await user.ask('/secret')).status, 200);
    return (await user.ask('/secret/tokens')).status === 503;
  });
  await refused(stage, 'secret', 401);
  await stage.keycloak.change(client, { secret: 'secret-of-secret' });
  await until('tokens are refreshed', async () => (await user.ask('/secret/tokens')).status === 200);
}

async function keys(stage) {
  const { keycloak } = stage;
  const [{ user, tokens }, leaving] = await Promise.all([signedIn(stage, 'keys', 'bob'), userPage(stage, 'old', 'bob')]);
  const { id } = await keycloak.admin('GET', '/keys');
  await keycloak.admin('POST', '/keys/components', {
    name: 'newer',
    providerId: 'rsa-generated',
    providerType: 'org.keycloak.keys.KeyProvider',
    parentId: id,
    config: { priority: ['200'], enabled: ['true'], active: ['true'], keySize: ['2048'], algorithm: ['RS256'] },
  });
  const [other, mine] = await Promise.all([
    signedIn(stage, 'keys', 'bob'),
    user.refreshed('keys', ({ idHeader }) => idHeader.kid !== tokens.idHeader.kid),
  ]);
  assert.equal(other.tokens.idHeader.kid, mine.idHeader.kid);
  // The older key is now disabled: nothing is signed with it any more, and it is in no key set.
  await disableKey(keycloak, tokens.idHeader.kid);
  await user.refreshed('keys', isNewer(mine));
  const sent = [];
  leaving.on('request', (request) => { sent.push(request.url()); });
  await leaving.goto(`${stage.gateway}/oauth2/sign_out`);
  // Without a hint Keycloak asks, unless the revocation of the refresh token was faster and has ended the session.
  const button = leaving.getByRole('button', { name: 'Logout' });
  const end = leaving.getByRole('heading', { name: 'You are signed out', exact: true });
  await button.or(end).waitFor();
  if (await button.isVisible()) await button.click();
  await end.waitFor();
  assert.ok(sent.some((url) => url.includes('/protocol/openid-connect/logout?')));
  assert.deepEqual(sent.filter((url) => url.includes('id_token_hint')), []);
}

// Disables a key of the realm `keys`.
async function disableKey(keycloak, kid) {
  const { keys: all } = await keycloak.admin('GET', '/keys/keys');
  const { providerId } = all.find((key) => key.kid === kid);
  const component = await keycloak.admin('GET', `/keys/components/${providerId}`);
  await keycloak.admin('PUT', `/keys/components/${providerId}`, {
    ...component, config: { ...component.config, enabled: ['false'], active: ['false'] },
  });
}
