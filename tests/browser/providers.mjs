// Two certified providers: the choice of one, routes of one, and responses at the wrong redirect URI.

import assert from 'node:assert/strict';
import { startProvider } from '../node/op.mjs';
import { callbackOf, check, freePort, run, signIn, startApplication, startGateway } from './support.mjs';

const gateway = `http://localhost:${await freePort()}`;
const prefix = `${gateway}/oauth2`;
// Each on a different host, because cookies ignore the port.
const company = await startProvider({ redirectUris: [`${prefix}/callback`] });
const partners = await startProvider({ host: '127.0.0.2', redirectUris: [`${prefix}/callback/partners`] });
const codes = () => [company.seen.authorization_code, partners.seen.authorization_code];

await run(async (browser) => {
  const application = await startApplication();
  await startGateway('providers', `
server: { listen: "${new URL(gateway).host}", public_url: "${gateway}" }
providers:
  company: { name: Company, issuer: "${company.issuer}", client_id: portcullis, client_secret: op-secret }
  partners:
    name: Our Partners
    kind: keycloak
    issuer: "${partners.issuer}"
    client_id: portcullis
    client_secret: op-secret
    distinct_redirect_uri: true
  gone: { name: Gone Inc., issuer: "http://127.0.0.1:${await freePort()}", client_id: x, client_secret: y }
routes:
  - { upstream: "${application}", providers: [company, partners], allow: authenticated }
  - { path: /gone, upstream: "${application}", providers: [company, gone], allow: authenticated }
  - { path: /staff, upstream: "${application}", providers: [company], allow: [{ groups: [staff] }] }
  - { path: /partners, upstream: "${application}", providers: [partners], allow: authenticated }
`);
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const page = await context.newPage();

  await check('a user chooses one of two providers, by keyboard alone, and signs in', async () => {
    await page.goto(`${gateway}/a?b=c`);
    assert.equal(new URL(page.url()).pathname, '/oauth2/sign_in');
    const buttons = await page.getByRole('navigation').getByRole('link').allInnerTexts();
    assert.deepEqual(buttons, ['Sign in with Company', 'Sign in with Our Partners']);
    for (const name of buttons) {
      await page.keyboard.press('Tab');
      const focused = await page.evaluate(() => [
        document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle]);
      assert.deepEqual(focused, [name, 'solid']);
    }
    await page.keyboard.press('Enter');
    await page.waitForURL(`${partners.issuer}/**`);
    await page.keyboard.press('Tab');
    await page.keyboard.type('bob');
    await page.keyboard.press('Tab');
    await page.keyboard.type('any');
    await page.keyboard.press('Enter');
    await page.getByText('bob at').waitFor();
    assert.equal(page.url(), `${gateway}/a?b=c`);
    assert.deepEqual(codes(), [0, 1]);
  });

  await check('each provider has the icon of its kind, which a screen reader does not read', async () => {
    const fresh = await (await browser.newContext({ viewport: { width: 320, height: 640 } })).newPage();
    await fresh.goto(`${gateway}/a`);
    assert.equal(await fresh.getByRole('navigation').ariaSnapshot(), `- navigation "What next":
  - link "Sign in with Company":
    - /url: /oauth2/start?rd=%2Fa&provider=company
  - link "Sign in with Our Partners":
    - /url: /oauth2/start?rd=%2Fa&provider=partners`);
    const draw = () => fresh.locator('nav svg').evaluateAll((icons) => icons.map((icon) => {
      const { width, height } = icon.getBoundingClientRect();
      const { stroke, fill } = getComputedStyle(icon);
      return { width, height, stroke, fill, color: getComputedStyle(icon.parentElement).color };
    }));
    const strokes = [];
    for (const colorScheme of ['light', 'dark']) {
      await fresh.emulateMedia({ colorScheme });
      const icons = await draw();
      assert.equal(icons.length, 2);
      for (const { width, height, stroke, fill, color } of icons) {
        assert.deepEqual([width, height, stroke, fill], [24, 24, color, 'none']);
      }
      strokes.push(icons[0].stroke);
    }
    assert.notEqual(strokes[0], strokes[1]);
    const paths = await fresh.locator('nav svg path').evaluateAll((all) => all.map((path) => path.getAttribute('d')));
    assert.equal(new Set(paths).size, 2);
    await fresh.context().close();
  });

  await check('a route of one provider redirects there at once, also with a session of another one', async () => {
    await page.goto(`${gateway}/staff`);
    assert.ok(page.url().startsWith(`${company.issuer}/`), page.url());
    await signIn(page, 'alice');
    await page.getByText('alice at').waitFor();
    assert.equal(page.url(), `${gateway}/staff`);
    await page.goto(`${gateway}/oauth2/sign_in?rd=/partners`);
    await page.getByText('bob at').waitFor();
    assert.equal(page.url(), `${gateway}/partners`);
    assert.deepEqual(codes(), [1, 2]);
    assert.equal((await context.cookies(gateway)).length, 2);
  });

  await check('a denied user can choose a provider again, and selects the account there', async () => {
    const fresh = await (await browser.newContext()).newPage();
    await fresh.goto(`${gateway}/oauth2/start?provider=company&rd=/staff`);
    await signIn(fresh, 'bob');
    await fresh.getByRole('heading', { name: 'You have no access' }).waitFor();
    await fresh.getByRole('link', { name: 'Use another account' }).click();
    await signIn(fresh, 'alice');
    await fresh.getByText('alice at').waitFor();
    assert.equal(fresh.url(), `${gateway}/staff`);
  });

  await check('a user whose provider is unreachable can choose again', async () => {
    const fresh = await (await browser.newContext()).newPage();
    await fresh.goto(`${gateway}/gone?a=b`);
    await fresh.getByRole('link', { name: 'Sign in with Gone Inc.' }).click();
    await fresh.getByText('Gone Inc. cannot be reached').waitFor();
    await fresh.getByRole('link', { name: 'Sign in another way' }).click();
    await fresh.getByRole('link', { name: 'Sign in with Company' }).click();
    await signIn(fresh, 'alice');
    await fresh.getByText('alice at').waitFor();
    assert.equal(fresh.url(), `${gateway}/gone?a=b`);
  });

  await check('sign-in options survive the choice of a provider', async () => {
    await page.goto(`${gateway}/oauth2/start?rd=/a&prompt=login&login_hint=bob`);
    await page.getByRole('link', { name: 'Sign in with Our Partners' }).click();
    await page.getByLabel('Login').waitFor();
    await signIn(page, 'bob');
    await page.getByText('bob at').waitFor();
  });

  await check('an authorization response at the redirect URI of another provider is rejected, and its code is not sent', async () => {
    const before = codes();
    const doors = [
      ['company', (url) => url.replace('/callback?', '/callback/partners?')],
      ['company', (url) => url.replace('/callback?', '/callback/company?')],
      ['company', (url) => url.replace(/([?&]iss=)[^&]*/, `$1${encodeURIComponent(partners.issuer)}`)],
      ['company', (url) => url.replace(/[?&]iss=[^&]*/, '')],
      ['partners', (url) => url.replace('/callback/partners?', '/callback?')],
      ['partners', (url) => url.replace('/callback/partners?', '/callback/company?')],
    ];
    for (const [provider, bend] of doors) {
      const other = await (await browser.newContext()).newPage();
      await other.goto(`${prefix}/start?provider=${provider}&rd=/a`);
      const callback = await callbackOf(other, 'alice');
      const bent = bend(callback);
      assert.notEqual(bent, callback);
      const response = await other.goto(bent);
      assert.equal(response.status(), 400, bent);
      await other.getByRole('link', { name: 'Try again' }).waitFor();
      assert.equal((await other.context().cookies(gateway)).some(({ name }) => name === 'portcullis'), false);
      await other.context().close();
    }
    assert.deepEqual(codes(), before);
  });
});
await Promise.all([company.stop(), partners.stop()]);
