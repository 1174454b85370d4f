// Where a user could get stuck: in a frame, by cookies that the browser blocks, and never by signing out and in again.

import assert from 'node:assert/strict';
import { startProvider } from '../node/op.mjs';
import {
  browserThatBlocksCookiesOf, check, freePort, run, signIn, startApplication, startGateway, startRecorder, until,
} from './support.mjs';

const gateway = `http://localhost:${await freePort()}`;
const provider = await startProvider({
  redirectUris: [`${gateway}/oauth2/callback`],
  postLogoutRedirectUris: [`${gateway}/oauth2/signed_out`],
});

await run(async (browser) => {
  const application = await startApplication();
  const exchanges = await startRecorder(new URL(gateway).port, await behind('sound', gateway, application));

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
