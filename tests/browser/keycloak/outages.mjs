// Keycloak is suspended, and restarted.

import assert from 'node:assert/strict';
import { check, until } from '../support.mjs';

const PROVIDERS = ['refreshed', 'split'];

export async function outages(stage) {
  await check('sessions go on while Keycloak is suspended, and refresh after it', () => suspended(stage));
  await check('sessions go on while Keycloak restarts, and refresh after it', () => restarted(stage));
}

async function signedIn({ visitor }) {
  return Promise.all(PROVIDERS.map(async (provider) => {
    const user = await visitor();
    assert.equal((await user.signIn(`/${provider}`, 'alice')).status(), 200);
    return { user, provider };
  }));
}

// The access tokens expire: the sessions go on, but no application gets an expired token.
async function duringTheOutage(sessions) {
  await Promise.all(sessions.map(({ user, provider }) => until(`the access token of ${provider} expires`, async () => {
    assert.equal((await user.ask(`/${provider}`)).status, 200);
    return (await user.ask(`/${provider}/tokens`)).status === 503;
  })));
}

async function afterTheOutage(sessions) {
  await Promise.all(sessions.map(({ user, provider }) => (
    until(`${provider} is refreshed`, async () => (await user.ask(`/${provider}/tokens`)).status === 200))));
}

async function suspended(stage) {
  const sessions = await signedIn(stage);
  stage.keycloak.suspend();
  try {
    await duringTheOutage(sessions);
  } finally {
    stage.keycloak.resume();
  }
  await afterTheOutage(sessions);
}

async function restarted(stage) {
  const sessions = await signedIn(stage);
  await stage.keycloak.restart(async () => {
    await duringTheOutage(sessions);
  });
  await afterTheOutage(sessions);
}
