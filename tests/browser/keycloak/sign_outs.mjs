// Sign-outs at Keycloak.

import assert from 'node:assert/strict';
import { check, until } from '../support.mjs';
import { clientOf } from './sign_ins.mjs';
import { typeIn } from './visitor.mjs';

export async function signOuts(stage) {
  await Promise.all([
    check('a sign-out ends the session at Keycloak, revokes the refresh token, and the browser comes back', () => wayBack(stage)),
    check('a hint that is too long for a URL signs out by a button', () => longHint(stage)),
  ]);
}

/// A page of a user who has just signed in, in a browser of its own.
export async function userPage({ browser, gateway }, provider, login) {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  await page.goto(`${gateway}/${provider}`);
  await typeIn(page, login);
  await page.getByText(`${login}@example.com`).waitFor();
  return page;
}

async function wayBack(stage) {
  const { exchanges, gateway, origin, keycloak } = stage;
  const page = await userPage(stage, 'leaving', 'frank');
  await page.goto(`${gateway}/oauth2/sign_out`);
  await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
  assert.ok(page.url().startsWith(`${gateway}/oauth2/signed_out`), page.url());
  const revocation = await until('the refresh token is revoked', () => (
    exchanges.find(({ url, headers }) => url.endsWith('/revoke') && clientOf(headers) === 'leaving')));
  assert.equal(revocation.status, 200);
  const refresh = await fetch(`${keycloak.internal}/realms/company/protocol/openid-connect/token`, {
    method: 'POST',
    headers: { authorization: revocation.headers.authorization },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: new URLSearchParams(revocation.body).get('token') }),
  });
  assert.equal((await refresh.json()).error, 'invalid_grant');
  await page.goto(`${gateway}/leaving`);
  assert.ok(page.url().startsWith(`${origin}/realms/company/`), page.url());
  await page.getByLabel('Username').waitFor();
}

async function longHint(stage) {
  const page = await userPage(stage, 'wiki', 'carol');
  await page.goto(`${stage.gateway}/oauth2/sign_out`);
  await page.getByRole('button', { name: /^Sign out at / }).click();
  await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
  await page.goto(`${stage.gateway}/wiki`);
  await page.getByLabel('Username').waitFor();
}
