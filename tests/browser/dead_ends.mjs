// Where a browser could get stuck: a service worker, links that are followed ahead of time, frames, a form whose
// session has ended, and cookies that the browser rejects.

import assert from 'node:assert/strict';
import { startProvider } from '../node/op.mjs';
import {
  PATIENCE, browserThatBlocksCookiesOf, check, freePort, logged, run, signIn, startApplication, startGateway, startRecorder, until,
} from './support.mjs';

const gateway = `http://localhost:${await freePort()}`;
// The same, but browsers reject its session cookie.
const refused = `http://localhost:${await freePort()}`;
const origins = [gateway, refused];
const provider = await startProvider({
  redirectUris: origins.map((origin) => `${origin}/oauth2/callback`),
  postLogoutRedirectUris: origins.map((origin) => `${origin}/oauth2/signed_out`),
});

// What a browser does with links before a user clicks them. Each target says how it is loaded.
const AHEAD = ['link', 'prefetch', 'prerender', 'image', 'frame'];
const ahead = (path, how) => `/oauth2/${path}?rd=/${how}`;
const both = (how) => ['sign_out', 'start'].map((path) => ahead(path, how));
const prefetching = `<!doctype html><title>Application</title>
${both('link').map((href) => `<link rel="prefetch" href="${href}">`).join('\n')}
<script type="speculationrules">${JSON.stringify({
  prefetch: [{ urls: both('prefetch'), eagerness: 'immediate' }],
  prerender: [{ urls: both('prerender'), eagerness: 'immediate' }],
})}</script>
${both('image').map((src) => `<img src="${src}" alt="">`).join('\n')}
${both('frame').map((src) => `<iframe src="${src}"></iframe>`).join('\n')}
${AHEAD.map((how) => `<a href="${ahead('sign_out', how)}">Sign out (${how})</a>`).join('\n')}
`;
const FORM = `<!doctype html><title>Application</title>
<form method="post" action="/save"><input name="text"><button>Save</button></form>`;
const WORKER = 'addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));';

await run(async (browser) => {
  const application = await startApplication({
    '/worker.js': { type: 'text/javascript', body: WORKER },
    '/prefetching': { type: 'text/html', body: prefetching },
    '/form': { type: 'text/html', body: FORM },
  });
  const exchanges = await startRecorder(new URL(gateway).port, await behind('sound', gateway, application));

  await check('a sign-in works through a service worker that fetches every navigation', async () => {
    const page = await userPage(browser, 'alice');
    await page.evaluate(async () => {
      await navigator.serviceWorker.register('/worker.js');
      await navigator.serviceWorker.ready;
    });
    await page.goto(`${gateway}/page?controlled`);
    await page.getByText('as empty').waitFor();
    for (const isKnown of [true, false]) {
      await endSession(page);
      if (!isKnown) await page.context().clearCookies({ domain: new URL(provider.issuer).hostname });
      const before = exchanges.length;
      await page.goto(`${gateway}/page?again`);
      if (!isKnown) await signIn(page, 'alice');
      await page.getByText('alice at').waitFor();
      assert.equal(page.url(), `${gateway}/page?again`);
      const seen = exchanges.slice(before).filter(({ url }) => /start|callback/.test(url));
      assert.deepEqual(seen.map(({ headers }) => headers['sec-fetch-dest']), ['empty', 'empty'], 'all by the worker');
    }
    await page.goto(`${gateway}/oauth2/sign_out`);
    await leaveProvider(page);
  });

  await check('links that are loaded ahead of time neither end the session nor begin a sign-in', async () => {
    const page = await userPage(browser, 'alice');
    const session = await sessionOf(page);
    const before = exchanges.length;
    await page.goto(`${gateway}/prefetching`);
    const loaded = () => exchanges.slice(before).filter(({ url, status }) => url.startsWith('/oauth2/') && status);
    const missing = () => AHEAD.flatMap(both).filter((url) => !loaded().some((exchange) => exchange.url === url));
    await until('all are loaded', () => missing().length === 0).catch(() => assert.deepEqual(missing(), []));
    for (const { url, status, cookies, headers } of loaded()) {
      assert.equal(status, url.startsWith('/oauth2/start') ? 401 : 200, `${url} ${JSON.stringify(headers)}`);
      assert.deepEqual(cookies, [], url);
    }
    assert.equal(await sessionOf(page), session);
    assert.ok(await isSignedIn(page));
  });

  await check('a link that was loaded ahead of time still signs out when a person follows it', async () => {
    const page = await userPage(browser, 'alice');
    for (const how of ['prefetch', 'prerender']) {
      await page.goto(`${gateway}/prefetching`);
      await page.getByRole('link', { name: `Sign out (${how})` }).click();
      const button = page.getByRole('button', { name: /sign out/i });
      await button.waitFor();
      // A page that was loaded ahead of time asks first.
      if (page.url().startsWith(gateway)) await button.click();
      await page.waitForURL(`${provider.issuer}/session/end*`);
      assert.equal(await isSignedIn(page), false);
      await page.getByRole('button', { name: /yes/i }).click();
      await page.getByLabel('Login').waitFor();
      await signIn(page, 'alice');
      await page.getByText('alice at').waitFor();
      assert.equal(page.url(), `${gateway}/${how}`);
    }
  });

  await check('our pages are shown in a frame of the same origin, and their links leave the frame', async () => {
    const page = await userPage(browser, 'bob');
    for (const [path, link] of [['/oauth2/signed_out', 'Sign in again'], ['/staff', 'Use another account']]) {
      await page.goto(`${gateway}/page`);
      const frame = await framed(page, path);
      await frame.getByRole('link', { name: link }).waitFor();
      await everythingLeadsToTheTop(frame);
    }
    await page.frameLocator('iframe').getByRole('link', { name: 'Use another account' }).click();
    await page.waitForURL(`${provider.issuer}/**`);
    await signIn(page, 'alice');
    await page.getByText('alice at').waitFor();
  });

  await check('a frame whose session has ended offers to sign in outside of it, and comes back', async () => {
    const page = await userPage(browser, 'alice');
    await page.goto(`${gateway}/page?with=frame`);
    await endSession(page);
    const frame = await framed(page, '/page?framed');
    await everythingLeadsToTheTop(frame);
    await frame.getByRole('link', { name: 'Sign in' }).click();
    await page.getByText('alice at').waitFor();
    assert.equal(page.url(), `${gateway}/page?with=frame`);
  });

  await check('none of our pages is shown in a frame of another origin', async () => {
    const page = await newPage(browser);
    for (const path of ['/oauth2/signed_out', '/oauth2/sign_out', '/page', '/oauth2/none']) {
      await page.goto(`${application}/elsewhere`);
      const frame = await framed(page, gateway + path);
      assert.doesNotMatch(await frame.locator('body').innerText(), /sign|nothing here/i, path);
      assert.equal(frame.url(), 'chrome-error://chromewebdata/', path);
    }
  });

  await check('a form whose session has ended is not lost: sign in in a new tab, then reload', async () => {
    const page = await userPage(browser, 'alice');
    await page.goto(`${gateway}/form`);
    await page.getByRole('textbox').fill('a long letter');
    await endSession(page);
    const [response] = await Promise.all([
      page.waitForResponse(`${gateway}/save`),
      page.getByRole('button', { name: 'Save' }).click(),
    ]);
    assert.equal(response.status(), 401);
    const text = await page.locator('main').innerText();
    assert.match(text, /new tab/i);
    assert.match(text, /reload/i);
    const [tab] = await Promise.all([
      page.context().waitForEvent('page'),
      page.locator('a[target=_blank]').click(),
    ]);
    await tab.getByRole('textbox').waitFor();
    assert.equal(tab.url(), `${gateway}/form`);
    await page.reload();
    await page.getByText('/save by POST text=a+long+letter').waitFor();
  });

  await check('who signs out and in again and again never meets the page that ends a cycle', async () => {
    const before = exchanges.length;
    const page = await userPage(browser, 'alice');
    for (let round = 0; round < 5; round += 1) {
      await page.goto(`${gateway}/oauth2/sign_out`);
      await leaveProvider(page);
      await page.getByRole('link', { name: 'Sign in again' }).click();
      await signIn(page, 'alice');
      await page.getByText('alice at').waitFor();
    }
    const errors = exchanges.slice(before).filter(({ status }) => status >= 400);
    assert.deepEqual(errors.map(({ url, status }) => `${status} ${url}`), []);
  });

  await check('a browser that rejects the session cookie gets a page that says so, after three sign-ins', async () => {
    const keeps = (line) => !line.startsWith('portcullis=');
    const seen = await startRecorder(new URL(refused).port, await behind('refused', refused, application), keeps);
    const page = await newPage(browser);
    await page.goto(`${refused}/page?q=1`);
    await signIn(page, 'alice');
    for (let visit = 0; visit < 2; visit += 1) {
      await endsInPageAboutCookies(page, refused);
      const sign_ins = seen.splice(0).filter(({ url }) => url.startsWith('/oauth2/callback')).length;
      assert.equal(sign_ins, 3);
      if (visit === 0) await page.getByRole('link', { name: 'Try again' }).click();
    }
    await logged(/"level":"WARN".*cookie.*instance/i);
  });

  await check('a browser that blocks all cookies of the site gets a page that says so', async () => {
    const context = await browserThatBlocksCookiesOf('localhost');
    try {
      context.setDefaultTimeout(10_000);
      const [before, page] = [exchanges.length, await context.newPage()];
      await page.goto(`${gateway}/page?q=1`);
      await signIn(page, 'alice');
      await endsInPageAboutCookies(page, gateway);
      assert.deepEqual(await context.cookies(gateway), []);
      const sign_ins = exchanges.slice(before).filter(({ url }) => url.startsWith('/oauth2/callback')).length;
      assert.ok(sign_ins <= 2, `${sign_ins} sign-ins`);
    } finally {
      await context.close();
    }
  });
});
await provider.stop();

// Starts a gateway whose visitors come by way of `origin`, and returns its own origin.
async function behind(name, origin, application) {
  const address = `127.0.0.1:${await freePort()}`;
  await startGateway(name, `
server: { listen: "${address}", public_url: "${origin}" }
providers:
  certified: { issuer: "${provider.issuer}", client_id: portcullis, client_secret: op-secret }
routes:
  - { upstream: "${application}", allow: authenticated }
  - { path: /staff, upstream: "${application}", allow: [{ groups: [staff] }] }
`);
  return `http://${address}`;
}

// A page in a browser of its own.
async function newPage(browser) {
  const context = await browser.newContext();
  context.setDefaultTimeout(10_000);
  return context.newPage();
}

// The page of a user who has just signed in.
async function userPage(browser, login) {
  const page = await newPage(browser);
  await page.goto(`${gateway}/page`);
  await signIn(page, login);
  await page.getByText(`${login} at`).waitFor();
  return page;
}

async function sessionOf(page) {
  return (await page.context().cookies(gateway)).find(({ name }) => name === 'portcullis').value;
}

async function isSignedIn(page) {
  return (await page.context().request.get(`${gateway}/oauth2/userinfo`)).ok();
}

// Ends the session where the page does not see it.
async function endSession(page) {
  const answer = await page.context().request.get(`${gateway}/oauth2/sign_out`, { maxRedirects: 0 });
  assert.equal(answer.status(), 302);
}

// The provider asks, then it sends the browser back.
async function leaveProvider(page) {
  await page.waitForURL(`${provider.issuer}/session/end*`);
  await page.getByRole('button', { name: /yes/i }).click();
  await page.waitForURL(`${gateway}/oauth2/signed_out*`);
}

// Adds a frame to the page that is open, and returns it once it has loaded.
async function framed(page, address) {
  const element = await page.evaluateHandle((address) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.addEventListener('load', () => resolve(frame));
    frame.src = address;
    document.body.append(frame);
  }), address);
  return element.contentFrame();
}

async function everythingLeadsToTheTop(frame) {
  const targets = await frame.locator('a, form').evaluateAll((all) => all.map((it) => it.target || '(none)'));
  assert.deepEqual([...new Set(targets)], ['_top']);
}

// The browser has left the provider for a page of ours, not for an error of its own.
async function endsInPageAboutCookies(page, origin) {
  await until('a page', async () => !page.url().startsWith(provider.issuer) && page.locator('body').isVisible());
  assert.ok(page.url().startsWith(origin), page.url());
  assert.match(await page.locator('main').innerText(), /cookie/i);
}
