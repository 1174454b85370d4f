// `portcullis demo`, as a user sees it right after the build.

import assert from 'node:assert/strict';
import { PORTCULLIS, check, freePort, run, start, until } from './support.mjs';

await run(async (browser) => {
  const port = await freePort();
  const [, gateway] = await start(PORTCULLIS, ['demo', '--port', String(port)], /(http:\/\/[^\s/"]+)/);

  const alices = await browser.newContext();
  const alice = await alices.newPage();
  const violations = [];
  collectViolations(alice, violations);

  await check('a new browser opens the printed address, signs in as alice and sees the application', async () => {
    await until('the gateway answers', () => fetch(`${gateway}/oauth2/ping`).then((answer) => answer.ok, () => false));
    await alice.goto(`${gateway}/`);
    assert.notEqual(new URL(alice.url()).origin, gateway, 'the provider asks, not the gateway');
    await signIn(alice, 'alice');
    await alice.waitForURL(`${gateway}/**`);
    await alice.getByText('alice@example.com').first().waitFor();
  });

  await check('forged identity headers never reach the application', async () => {
    const forged = {
      'X-Forwarded-User': 'mallory', 'x-forwarded-email': 'mallory@example.org', X_Forwarded_User: 'mallory',
      'X.Forwarded.User': 'mallory', 'X-Auth-Request-User': 'mallory', 'X-Forwarded-Groups': 'mallory',
    };
    await alice.setExtraHTTPHeaders(forged);
    await alice.goto(`${gateway}/`);
    await alice.getByText('alice@example.com').first().waitFor();
    assert.doesNotMatch(await alice.content(), /mallory/);
    await alice.setExtraHTTPHeaders({});
  });

  await check('a second tab is signed in too, and an API client with the same cookies gets the user', async () => {
    const tab = await alices.newPage();
    await tab.goto(`${gateway}/`);
    assert.equal(new URL(tab.url()).origin, gateway);
    await tab.close();
    const answer = await alices.request.get(`${gateway}/oauth2/userinfo`);
    assert.equal(answer.status(), 200);
    assert.equal((await answer.json()).email, 'alice@example.com');
  });

  await check('the session cookie has no token, and no script can read it', async () => {
    const cookies = await alices.cookies(gateway);
    const session = cookies.find(({ name }) => name === 'portcullis');
    assert.ok(session?.httpOnly && session.value.length === 43, JSON.stringify(cookies.map(({ name }) => name)));
    assert.equal(await alice.evaluate(() => document.cookie), '');
  });

  const bobs = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const bob = await bobs.newPage();
  collectViolations(bob, violations);
  await check('bob reads the 403 page of the staff page on a phone, and uses it by keyboard', async () => {
    await bob.goto(`${gateway}/staff`);
    const denied = bob.waitForResponse((answer) => answer.status() === 403);
    await signIn(bob, 'bob');
    await denied;
    await bob.getByText('bob@example.com').waitFor();
    const wide = await bob.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.ok(!wide, 'the page scrolls sideways');
    await bob.keyboard.press('Tab');
    assert.equal(await bob.evaluate(() => document.activeElement.textContent), 'Use another account');
    await bob.keyboard.press('Enter');
    await bob.waitForURL((url) => url.origin !== gateway);
  });

  await check('the identity headers can be read on a phone', async () => {
    const phone = await (await browser.newContext({ viewport: { width: 390, height: 844 } })).newPage();
    await phone.goto(`${gateway}/public`);
    const share = await phone.evaluate(() => {
      const width = (selector) => document.querySelector(selector).getBoundingClientRect().width;
      return width('td') / width('table');
    });
    assert.ok(share > 0.5, `values have ${share} of the width`);
  });

  await check('alice signs out and is signed out', async () => {
    await alice.goto(`${gateway}/oauth2/sign_out`);
    await alice.waitForURL(`${gateway}/oauth2/signed_out*`);
    await alice.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await alice.getByRole('link', { name: 'Sign in again' }).waitFor();
    const answer = await alice.request.get(`${gateway}/oauth2/userinfo`);
    assert.equal(answer.status(), 401);
  });

  await check('no page violates its Content-Security-Policy', () => assert.deepEqual(violations, []));
});

async function signIn(page, name) {
  await page.locator('input:not([type=hidden]):not([type=password])').fill(name);
  const password = page.locator('input[type=password]');
  if (await password.count()) await password.fill(name);
  await page.getByRole('button').first().click();
}

function collectViolations(page, found) {
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) found.push(message.text());
  });
}
