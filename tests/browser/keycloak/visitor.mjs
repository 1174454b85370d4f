// A user of the tests at Keycloak: signs in by its form, and asks the application. Without a page, which is faster, unless a
// claim is about pages.

import assert from 'node:assert/strict';
import { until } from '../support.mjs';

const HTML = { accept: 'text/html' };

export class Visitor {
  constructor(context, gateway) {
    this.context = context;
    this.gateway = gateway;
  }

  /// What a browser gets that opens a path and follows redirects.
  open(path) {
    return this.context.request.get(this.gateway + path, { headers: HTML });
  }

  /// Signs in, on the way to this path, and returns the last response.
  async signIn(path, login) {
    return this.submit(await this.open(path), login);
  }

  /// Signs in, on the way to this path, and returns the address of the callback without opening it.
  async callback(path, login) {
    const action = await this.action(await this.open(path));
    const response = await this.context.request.post(action, { headers: HTML, form: form(login), maxRedirects: 0 });
    const there = new URL(response.headers().location, response.url());
    assert.equal(there.pathname, '/oauth2/callback');
    return there;
  }

  /// Sends the form of Keycloak's sign-in page, and returns the response to which it leads.
  async submit(page, login) {
    return this.context.request.post(await this.action(page), { headers: HTML, form: form(login) });
  }

  async action(page) {
    const [, action] = (await page.text()).match(/<form[^>]* action="([^"]*)"/) ?? assert.fail(`no form at ${page.url()}`);
    return action.replaceAll('&amp;', '&');
  }

  /// One request of a program: the status, and the headers that the application received.
  async ask(path) {
    const response = await this.context.request.get(this.gateway + path, { maxRedirects: 0 });
    const status = response.status();
    return { status, headers: status === 200 ? await response.json() : {} };
  }

  /// The claims of the session's access token and ID token, and these tokens, by a provider's route.
  async tokens(provider) {
    const { status, headers } = await this.ask(`/${provider}/tokens`);
    assert.equal(status, 200);
    const [access, id] = [headers['x-access-token'], headers['x-id-token']];
    return { access, id, accessClaims: part(access, 1), idClaims: part(id, 1), idHeader: part(id, 0) };
  }

  /// Asks until tokens were refreshed to ones that fit.
  refreshed(provider, fits) {
    return until(`${provider} has refreshed tokens`, async () => {
      const tokens = await this.tokens(provider);
      return fits(tokens) && tokens;
    });
  }

  /// Asks until the session has ended.
  ended(provider) {
    return until(`the session of ${provider} has ended`, async () => {
      const { status } = await this.ask(`/${provider}`);
      assert.ok([200, 401].includes(status), `status ${status}`);
      return status === 401;
    });
  }
}

const form = (login) => ({ username: login, password: 'any', credentialId: '' });

/// Fills in Keycloak's sign-in page as a person does.
export async function typeIn(page, login) {
  await page.getByLabel('Username').fill(login);
  await page.getByLabel('Password', { exact: true }).fill('any');
  await page.getByRole('button', { name: 'Sign In' }).click();
}

/// Waits until an access token has expired.
export function expired({ accessClaims }) {
  return until('the access token has expired', () => Date.now() / 1000 > accessClaims.exp + 1);
}

/// One part of a JWT: 0 the header, 1 the claims.
const part = (jwt, index) => JSON.parse(Buffer.from(jwt.split('.')[index], 'base64url'));
