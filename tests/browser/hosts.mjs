// Several hosts that share one session: sign-in at one of them, applications at the others.

import assert from 'node:assert/strict';
import { authority, certify } from '../node/certificates.mjs';
import { startProvider } from '../node/op.mjs';
import { check, folder, freePort, run, signIn, startApplication, startGateway, until } from './support.mjs';

const port = await freePort();
const DOMAIN = 'portcullis.localhost';
const at = (host) => `https://${host}:${port}`;
const [auth, app1, app2] = ['auth', 'app1', 'app2'].map((name) => at(`${name}.${DOMAIN}`));
const elsewhere = at('elsewhere.localhost');
const SESSION = '__Secure-portcullis';

certify(folder, 'server', authority(folder, 'ours'), `DNS:*.${DOMAIN},DNS:*.localhost`);
const provider = await startProvider({
  redirectUris: [`${auth}/oauth2/callback`],
  postLogoutRedirectUris: [`${auth}/oauth2/signed_out`],
});

await run(async (browser) => {
  const application = await startApplication();
  await startGateway('hosts', `
server:
  listen: "127.0.0.1:${port}"
  public_url: "${auth}"
  tls: { certificates: [{ certificate: server.pem, key: server.key }] }
providers:
  certified: { issuer: "${provider.issuer}", client_id: portcullis, client_secret: op-secret }
session: { cookie: { domain: ${DOMAIN} } }
routes:
  - { upstream: "${application}", allow: authenticated }
  - { host: app1.${DOMAIN}, upstream: "${application}", allow: authenticated }
  - { host: app2.${DOMAIN}, upstream: "${application}", allow: authenticated }
`);
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const isAtProvider = () => page.url().startsWith(`${provider.issuer}/`);

  await check('a sign-in for one application is at public_url and returns to the page with its query', async () => {
    const target = `${app1}/a/page?x=%C3%A4&y=1`;
    const navigations = navigationsOf(page);
    await page.goto(target);
    await signIn(page, 'alice');
    await page.getByText('alice at app1.').waitFor();
    assert.equal(page.url(), target);
    const hosts = navigations.map((url) => new URL(url).host.split('.')[0]).filter((host, i, all) => host !== all[i - 1]);
    assert.deepEqual(hosts, ['app1', 'auth', '127', 'auth', 'app1'], navigations.join('\n'));
  });

  await check('the session cookie is for the domain, the login cookie for the host of public_url only', async () => {
    const cookies = (await context.cookies()).filter(({ domain }) => domain.endsWith(DOMAIN));
    const attributes = cookies.map(({ name, domain, secure, httpOnly }) => [name, domain, secure, httpOnly]);
    assert.deepEqual(attributes.sort(), [
      ['__Host-portcullis-login', `auth.${DOMAIN}`, true, true],
      [SESSION, `.${DOMAIN}`, true, true],
    ]);
  });

  await check('the user is signed in at the other application at once', async () => {
    const response = await page.goto(`${app2}/b`);
    assert.equal(response.request().redirectedFrom(), null);
    await page.getByText('alice at app2.').waitFor();
  });

  await check('a script at one application gets a sign-in URL at public_url that returns to its page', async () => {
    const fresh = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    // A page that was loaded before the session ended.
    await fresh.route('**/b?c=d', (route) => route.fulfill({ contentType: 'text/html', body: '<h1>Old</h1>' }));
    await fresh.goto(`${app2}/b?c=d`);
    const answer = await fresh.evaluate(async () => {
      const response = await fetch('/api', { referrerPolicy: 'unsafe-url' });
      return { status: response.status, ...await response.json() };
    });
    assert.equal(answer.status, 401);
    const login = new URL(answer.login_url);
    assert.equal(login.origin, auth);
    assert.equal(login.searchParams.get('rd'), `${app2}/b?c=d`);
  });

  await check('a cookie that one application tosses to the other is cleared without a redirect loop', async () => {
    await page.goto(`${app2}/b`);
    await page.evaluate(([name, domain]) => {
      document.cookie = `${name}=${'A'.repeat(43)}; Secure; Path=/`;
      document.cookie = `${name}=${'B'.repeat(43)}; Secure; Path=/b; Domain=${domain}`;
    }, [SESSION, DOMAIN]);
    for (const target of [`${app1}/b`, `${app2}/b`]) {
      await page.goto(target);
      await page.getByText('alice at').waitFor();
      assert.equal(page.url(), target);
    }
  });

  await check('a sign-out at one application ends the session at both, and returns through the provider', async () => {
    await page.goto(`${app2}/b`);
    await link(page, `${app1}/oauth2/sign_out?rd=${encodeURIComponent(`${app2}/bye`)}`);
    await page.waitForURL(`${provider.issuer}/session/end*`);
    await page.getByRole('button', { name: /yes/i }).click();
    await until('the link leads to a new sign-in', isAtProvider);
    for (const target of [app1, app2]) {
      await page.goto(`${target}/`);
      assert.ok(isAtProvider(), page.url());
    }
    assert.deepEqual((await context.cookies(app1)).map(({ name }) => name), []);
  });

  await check('a new sign-in returns to the application, not to public_url', async () => {
    await page.goto(`${app2}/bye`);
    await signIn(page, 'bob');
    await page.getByText('bob at app2.').waitFor();
    assert.equal(page.url(), `${app2}/bye`);
  });

  await check('an unknown host gets a page with a link to public_url', async () => {
    const response = await page.goto(`${elsewhere}/x`);
    assert.equal(response.status(), 421);
    await page.getByRole('link', { name: 'Open the site' }).click();
    await page.getByText('bob at auth.').waitFor();
  });

  await check('a sign-in that starts at an unknown host ends at public_url', async () => {
    const fresh = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    for (const path of ['/oauth2/start?rd=/x', '/oauth2/sign_in?rd=https://evil.example/']) {
      await fresh.context().clearCookies();
      await fresh.goto(elsewhere + path);
      await signIn(fresh, 'alice');
      await fresh.getByText('alice at auth.').waitFor();
      assert.equal(fresh.url(), `${auth}/`);
    }
  });
});
await provider.stop();

function navigationsOf(page) {
  const urls = [];
  page.on('request', (request) => { if (request.isNavigationRequest()) urls.push(request.url()); });
  return urls;
}

// Follows a link of the open page, as a user does.
async function link(page, href) {
  await page.evaluate((href) => {
    const link = document.body.appendChild(document.createElement('a'));
    Object.assign(link, { href, textContent: 'Go on' });
  }, href);
  await page.getByRole('link', { name: 'Go on' }).click();
}
