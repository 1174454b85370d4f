// A browser that opens fifty tabs at once, as after a restart, before it has any cookie.

import assert from 'node:assert/strict';
import { startProvider } from '../node/op.mjs';
import { check, freePort, run, signIn, startApplication, startGateway, until } from './support.mjs';

const TABS = 50;
const gateway = `http://localhost:${await freePort()}`;
const provider = await startProvider({ redirectUris: [`${gateway}/oauth2/callback`] });
const targets = Array.from({ length: TABS }, (_, number) => `${gateway}/page/${number}?tab=${number}&x=%C3%A4`);

await run(async (browser) => {
  await startGateway('tabs', `
server: { listen: "${new URL(gateway).host}", public_url: "${gateway}" }
providers:
  certified: { issuer: "${provider.issuer}", client_id: portcullis, client_secret: op-secret }
routes:
  - { upstream: "${await startApplication()}", allow: authenticated }
`);
  const context = await browser.newContext();
  let pages;

  await check('fifty tabs without a cookie, at fifty pages, all reach the provider', async () => {
    pages = await Promise.all(targets.map(() => context.newPage()));
    await go(pages);
    for (const page of pages) await page.getByLabel('Login').waitFor();
  });

  await check('after one tab has signed in, all tabs reach their pages', async () => {
    await signIn(pages[0], 'alice');
    await arrives(pages[0], 0);
    const session = await cookie(context, 'portcullis');
    await Promise.all(pages.slice(1).map((page) => untilDone(() => page.reload())));
    await Promise.all(pages.map(arrives));
    assert.equal(await cookie(context, 'portcullis'), session, 'no tab ends the session of another');
    assert.equal(provider.seen.authorization_code, 1);
  });

  await check('the browser then has two cookies', () => hasTwoCookies(context));

  await check('fifty restored tabs of a user with a session at the provider reach their pages without a form', async () => {
    for (let round = 0; round < 2; round += 1) {
      await Promise.all(pages.map((page) => untilDone(() => page.goto('about:blank'))));
      await context.clearCookies({ domain: 'localhost' });
      await go(pages);
      await Promise.all(pages.map(arrives));
      await hasTwoCookies(context);
    }
    assert.equal(provider.seen.rejected, 0);
  });

  await check('another browser signs in meanwhile, as another user', async () => {
    const other = await browser.newContext();
    const page = await other.newPage();
    await page.goto(targets[7]);
    await signIn(page, 'bob');
    await page.getByText('bob at').waitFor();
    assert.equal(page.url(), targets[7]);
    await pages[3].reload();
    await pages[3].getByText('alice at').waitFor();
  });
});
await provider.stop();

function go(pages) {
  return Promise.all(pages.map((page, number) => untilDone(() => page.goto(targets[number]))));
}

// Repeats a navigation that the browser has given up: it does so with all that are under way when the addresses of the
// machine change, as containers make them, and then loads them again by itself.
async function untilDone(navigate) {
  for (;;) {
    try {
      return await navigate();
    } catch (error) {
      if (!/ERR_NETWORK_CHANGED|interrupted by another navigation/.test(error.message)) throw error;
    }
  }
}

async function arrives(page, number) {
  try {
    await until(`tab ${number} arrives`, async () => page.url() === targets[number]);
  } catch (error) {
    throw new Error(`${error.message}; it is at ${page.url()}: ${await page.locator('body').innerText()}`);
  }
  await page.getByText('alice at').waitFor();
}

async function cookie(context, name) {
  return (await context.cookies(gateway)).find((cookie) => cookie.name === name)?.value;
}

async function hasTwoCookies(context) {
  const names = (await context.cookies(gateway)).map(({ name }) => name).sort();
  assert.deepEqual(names, ['portcullis', 'portcullis-login']);
}
