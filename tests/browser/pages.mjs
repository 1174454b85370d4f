// Every page of ours in every language, on a desktop and a phone, light and dark.

import assert from 'node:assert/strict';
import http from 'node:http';
import { startProvider } from '../node/op.mjs';
import { axe, check, freePort, run, signIn, startApplication, startGateway, startRecorder } from './support.mjs';

const LANGUAGES = { en: 'en-US', de: 'de-DE', ko: 'ko-KR' };
const SIZES = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];
const SCHEMES = ['light', 'dark'];

const gateway = `http://localhost:${await freePort()}`;
// The same, but browsers reject its session cookie.
const refused = `http://localhost:${await freePort()}`;
const provider = await startProvider({ redirectUris: [gateway, refused].map((origin) => `${origin}/oauth2/callback`) });
const silent = http.createServer(() => {});
await new Promise((resolve) => { silent.listen(0, '127.0.0.1', resolve); });

// Forms that send what they should not, on a page without an icon to load.
const FORMS = `<!doctype html><title>Application</title><link rel="icon" href="data:,">
<form id="small" method="post" action="/small"><input name="text" value="more than ten bytes"></form>
<form id="save" method="post" action="/page"><input name="text" value="a long letter"></form>`;

// How a visitor comes to each page, and its status.
const PAGES = {
  'choice of providers': [200, (page) => page.goto(`${gateway}/choice`)],
  'sign-in required': [401, (page) => page.goto(`${gateway}/closed`)],
  'forbidden': [403, async (page) => {
    await page.goto(`${gateway}/staff`);
    await signIn(page, 'bob');
    await page.waitForURL(`${gateway}/staff`);
    return page.reload();
  }],
  'cancelled at the provider': [403, async (page) => page.goto(await cancelled(page))],
  'sign-in failed': [400, (page) => page.goto(`${gateway}/oauth2/callback?code=x&state=x`)],
  'provider does not answer': [503, (page) => page.goto(`${gateway}/down`)],
  'provider misconfigured': [502, async (page) => {
    await page.goto(`${gateway}/wrong`);
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url().startsWith(`${gateway}/oauth2/callback`)),
      signIn(page, 'bob'),
    ]);
    return response;
  }],
  'session cookie refused': [400, async (page) => {
    await page.goto(`${refused}/page`);
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url().startsWith(refused) && answer.status() >= 400),
      signIn(page, 'alice'),
    ]);
    return response;
  }],
  'form whose session has ended': [401, (page) => submit(page, 'save')],
  'sign-out that another site began': [200, async (page, application) => {
    await page.goto(application);
    const [response] = await Promise.all([
      page.waitForNavigation(),
      page.evaluate((href) => { window.location.href = href; }, `${gateway}/oauth2/sign_out`),
    ]);
    return response;
  }],
  'sign-out at the provider': [200, async (page) => {
    await page.goto(`${gateway}/oauth2/start?provider=certified&rd=/open/forms`);
    await signIn(page, 'carol');
    await page.waitForURL(`${gateway}/open/forms`);
    return page.goto(`${gateway}/oauth2/sign_out`);
  }],
  'signed out': [200, (page) => page.goto(`${gateway}/oauth2/signed_out`)],
  'not found': [404, (page) => page.goto(`${gateway}/oauth2/none`)],
  'ambiguous address': [400, (page) => page.goto(`${gateway}/open/%zz`)],
  'wrong host': [421, (page) => page.goto(`${gateway.replace('localhost', '127.0.0.1')}/page`)],
  'too large': [413, (page) => submit(page, 'small')],
  'application away': [502, (page) => page.goto(`${gateway}/away`)],
  'application silent': [504, (page) => page.goto(`${gateway}/silent`)],
};

await run(async (browser) => {
  const application = await startApplication({ '/open/forms': { type: 'text/html', body: FORMS } });
  const recorded = await behind('pages', gateway, application);
  const withoutCookie = await behind('refused', refused, application, (line) => !line.startsWith('portcullis='));
  for (const [name, [status, open]] of Object.entries(PAGES)) {
    const headings = await Promise.all(Object.keys(LANGUAGES).map(async (language) => {
      let heading;
      await check(`page "${name}" in ${language}: fits, loads nothing, and is accessible`, async () => {
        const context = await browser.newContext({ locale: LANGUAGES[language], viewport: SIZES[0] });
        context.setDefaultTimeout(10_000);
        try {
          const page = await context.newPage();
          const complaints = violationsOfPolicy(page);
          const response = await open(page, application);
          assert.equal(response.status(), status);
          await page.locator('main').waitFor();
          assert.equal(await page.locator('html').getAttribute('lang'), language);
          heading = await page.getByRole('heading', { level: 1 }).innerText();
          await hasIcon(page);
          await looksRight(page);
          assert.deepEqual(complaints, []);
        } finally {
          await context.close();
        }
      });
      return heading;
    }));
    await check(`page "${name}" is another one in each language`, () => {
      assert.equal(new Set(headings).size, headings.length, headings.join(' | '));
    });
  }
  await check('no page made its browser load an icon, or anything else', () => {
    const loaded = [...recorded, ...withoutCookie].map(({ url, headers }) => [url, headers['sec-fetch-dest']]);
    assert.deepEqual(loaded.filter(([, dest]) => dest && dest !== 'document'), []);
  });
});
silent.close().closeAllConnections();
await provider.stop();

// Starts a gateway whose visitors come by way of `origin`, and returns what they send.
async function behind(name, origin, application, keeps) {
  const address = `127.0.0.1:${await freePort()}`;
  const away = `http://127.0.0.1:${await freePort()}`;
  const client = `issuer: "${provider.issuer}", client_id: portcullis`;
  await startGateway(name, `
server: { listen: "${address}", public_url: "${origin}" }
providers:
  certified: { name: Certified, ${client}, client_secret: op-secret }
  wrong: { name: Wrong Inc., ${client}, client_secret: another-secret }
  down: { name: Down Inc., issuer: "${away}", client_id: x, client_secret: y }
routes:
  - { upstream: "${application}", providers: [certified], allow: authenticated }
  - { path: /staff, upstream: "${application}", providers: [certified], allow: [{ groups: [staff] }] }
  - { path: /choice, upstream: "${application}", providers: [certified, down], allow: authenticated }
  - { path: /closed, upstream: "${application}", providers: [certified], unauthenticated: unauthorized, allow: authenticated }
  - { path: /wrong, upstream: "${application}", providers: [wrong], allow: authenticated }
  - { path: /down, upstream: "${application}", providers: [down], allow: authenticated }
  - { path: /open, upstream: "${application}", allow: public }
  - { path: /small, upstream: "${application}", request_body: 10, allow: public }
  - { path: /away, upstream: "${away}", allow: public }
  - { path: /silent, upstream: "http://127.0.0.1:${silent.address().port}", timeouts: { response_headers: 100ms }, allow: public }
`);
  return startRecorder(new URL(origin).port, `http://${address}`, keeps);
}

// The callback of a sign-in that the user cancelled.
async function cancelled(page) {
  const request = page.context().request;
  const response = await request.get(`${gateway}/oauth2/start?provider=certified&rd=/page`, { maxRedirects: 0 });
  const state = new URL(response.headers().location).searchParams.get('state');
  const parameters = new URLSearchParams({ error: 'access_denied', state, iss: provider.issuer });
  return `${gateway}/oauth2/callback?${parameters}`;
}

// Submits a form without its user.
async function submit(page, form) {
  await page.goto(`${gateway}/open/forms`);
  const [response] = await Promise.all([
    page.waitForNavigation(),
    page.evaluate((form) => document.getElementById(form).submit(), form),
  ]);
  return response;
}

// A page without an icon makes a browser ask for one, and its policy has to let the icon be shown.
async function hasIcon(page) {
  const icon = page.locator('link[rel=icon]');
  assert.equal(await icon.count(), 1);
  const address = await icon.getAttribute('href');
  assert.match(address, /^data:image/);
  await page.evaluate((address) => Object.assign(new Image(), { src: address }).decode(), address);
}

async function looksRight(page) {
  await page.evaluate(axe());
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of SCHEMES) {
      const where = `${size.width} px, ${colorScheme}`;
      await page.emulateMedia({ colorScheme });
      const found = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run({ resultTypes: ['violations'], preload: false });
        const root = document.documentElement;
        return {
          violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`),
          overflow: root.scrollWidth - root.clientWidth,
        };
      });
      assert.deepEqual(found, { violations: [], overflow: 0 }, where);
    }
  }
}

function violationsOfPolicy(page) {
  const found = [];
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) found.push(message.text());
  });
  return found;
}
