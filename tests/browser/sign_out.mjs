// Sign-out at a provider whose ID token is too long for a URL, or signed with a key that is gone: the browser comes back.

import assert from 'node:assert/strict';
import { authority, certify } from '../node/certificates.mjs';
import { startProvider } from '../node/op.mjs';
import { check, folder, freePort, run, signIn, startApplication, startGateway, until } from './support.mjs';

const DOMAIN = 'portcullis.localhost';
const port = await freePort();
const [gateway, app] = ['auth', 'app'].map((name) => `https://${name}.${DOMAIN}:${port}`);
const tls = certify(folder, 'server', authority(folder, 'ours'), `DNS:*.${DOMAIN},IP:127.0.0.1`);
const provider = await startProvider({
  redirectUris: [`${gateway}/oauth2/callback`],
  postLogoutRedirectUris: [`${gateway}/oauth2/signed_out`],
  tls,
  takesPosts: true,
});

await run(async (browser) => {
  const application = await startApplication();
  await startGateway('sign_out', `
server:
  listen: "127.0.0.1:${port}"
  public_url: "${gateway}"
  tls: { certificates: [{ certificate: server.pem, key: server.key }] }
providers:
  certified: { name: Certified, issuer: "${provider.issuer}", client_id: portcullis, client_secret: op-secret, ca: ours.pem }
session: { cookie: { domain: ${DOMAIN} } }
routes:
  - { upstream: "${application}", allow: authenticated }
  - { path: /open, upstream: "${application}", allow: public }
  - { host: app.${DOMAIN}, upstream: "${application}", allow: authenticated }
  - { host: app.${DOMAIN}, path: /open, upstream: "${application}", allow: public }
`);

  for (const [from, target] of [[gateway, ''], [gateway, '/open/x?y=1'], [app, '/open/x?y=1'], [gateway, `${app}/open/x?y=1`]]) {
    await check(`a long hint reaches the provider by a button, and the browser comes back (${new URL(from).host.split('.')[0]} to "${target}")`, async () => {
      const page = await userPage(browser, 'carol');
      const [complaints, requests] = [violationsOfPolicy(page), requestsOf(page)];
      await page.goto(`${from}/oauth2/sign_out?${target && new URLSearchParams({ rd: target })}`);
      await page.getByRole('heading', { name: 'You are signed out of this site' }).waitFor();
      await page.getByRole('button', { name: 'Sign out at Certified' }).click();
      await leaveProvider(page);
      if (target) await page.waitForURL(new URL(target, from).href);
      else await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
      assert.deepEqual(complaints, []);
      const [sent] = requests.filter((it) => it.url.startsWith(`${provider.issuer}/session/end`));
      assert.equal(sent.method, 'POST');
      assert.ok(sent.body.get('id_token_hint').length > 3 * 1024);
      assert.ok(requests.every(({ url }) => !url.includes('eyJ')), 'no token in a URL');
      await page.goto(`${gateway}/page`);
      await page.getByLabel('Login').waitFor();
    });
  }

  await check('the Back button leads to no token, and to no dead end', async () => {
    const page = await userPage(browser, 'carol');
    await page.goto(`${gateway}/oauth2/sign_out`);
    await page.getByRole('button', { name: 'Sign out at Certified' }).click();
    await leaveProvider(page);
    await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
    // Two steps back: the first leads to the provider's page, which a browser loads only if the user confirms it.
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url() === `${gateway}/oauth2/sign_out`),
      page.evaluate(() => window.history.go(-2)),
    ]);
    assert.equal(response.status(), 302);
    assert.doesNotMatch(response.headers().location, /eyJ/);
    await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
  });

  await check('a user can stay signed in at the provider', async () => {
    const page = await userPage(browser, 'carol');
    await page.goto(`${gateway}/oauth2/sign_out?rd=/open`);
    await page.getByRole('link', { name: 'Stay signed in there' }).click();
    await page.getByText('no user at').waitFor();
    await page.goto(`${gateway}/page`);
    await page.getByText('carol at').waitFor();
  });

  await check('a script of the application cannot read the token', async () => {
    const page = await userPage(browser, 'carol');
    const fetched = await page.evaluate(async () => {
      const response = await fetch('/oauth2/sign_out', { method: 'POST', headers: { accept: 'text/html' } });
      return response.text();
    }).catch(String);
    assert.match(fetched, /Failed to fetch/);
    for (const kind of ['frame', 'window']) {
      const other = await userPage(browser, 'carol');
      const [shown] = await Promise.all([
        kind === 'window' ? other.context().waitForEvent('page') : other.waitForEvent('frameattached'),
        other.evaluate((kind) => {
          if (kind === 'window') {
            globalThis.opened = window.open('/oauth2/sign_out');
            return;
          }
          document.body.innerHTML = '<iframe name="frame"></iframe>'
            + '<form method="post" action="/oauth2/sign_out" target="frame"></form>';
          document.forms[0].submit();
        }, kind),
      ]);
      const away = `${provider.issuer}/`;
      if (kind === 'window') await shown.getByRole('button', { name: 'Sign out at Certified' }).waitFor();
      else await until('the frame is at the provider', () => shown.url().startsWith(away) || shown.url().startsWith('chrome-error:'));
      const read = await other.evaluate((kind) => {
        const seen = kind === 'window' ? globalThis.opened : window.frames[0];
        try {
          return seen.closed ? 'closed' : seen.document.documentElement.outerHTML;
        } catch (error) {
          return error.name;
        }
      }, kind);
      assert.match(read, /^(closed|SecurityError)$/);
    }
  });

  await check('a hint whose key is gone does not strand the browser at the provider', async () => {
    const pages = [await userPage(browser, 'alice'), await userPage(browser, 'carol')];
    provider.rotateKeys();
    for (const page of pages) {
      const requests = requestsOf(page);
      await page.goto(`${gateway}/oauth2/sign_out`);
      await leaveProvider(page);
      await page.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
      assert.ok(requests.every(({ url, body }) => !url.includes('eyJ') && !body.has('id_token_hint')));
    }
  });
});
await provider.stop();

// A page of a user who has just signed in, in a browser of its own.
async function userPage(browser, login) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  await page.goto(`${gateway}/page`);
  await signIn(page, login);
  await page.getByText(`${login} at`).waitFor();
  return page;
}

// The provider asks if it knows the user; then it sends the browser back.
async function leaveProvider(page) {
  await until('the browser has left the gateway', () => !page.url().includes('/sign_out'));
  if (page.url().startsWith(`${provider.issuer}/session/end`)) {
    await page.getByRole('button', { name: /yes/i }).click({ timeout: 2000 }).catch(() => {});
  }
}

function requestsOf(page) {
  const requests = [];
  page.on('request', (request) => requests.push({
    url: request.url(), method: request.method(), body: new URLSearchParams(request.postData() ?? ''),
  }));
  return requests;
}

function violationsOfPolicy(page) {
  const found = [];
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) found.push(message.text());
  });
  return found;
}
