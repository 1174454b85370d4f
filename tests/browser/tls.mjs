// TLS on both sides, with a private authority: browser to gateway, and gateway to a certified provider
// that rotates its keys, removes accounts, stops and starts again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { authority, certify } from '../node/certificates.mjs';
import { startProvider } from '../node/op.mjs';
import { callbackOf, check, folder, freePort, logged, run, signIn, startApplication, startGateway, until } from './support.mjs';

const tls = certify(folder, 'server', authority(folder, 'ours'), 'DNS:localhost,IP:127.0.0.1');
authority(folder, 'strange');
const gateway = `https://localhost:${await freePort()}`;
const distrustful = `https://localhost:${await freePort()}`;
const misconfigured = `https://localhost:${await freePort()}`;
const posting = `https://localhost:${await freePort()}`;
const provider = await startProvider({
  redirectUris: [gateway, distrustful, misconfigured, posting].map((origin) => `${origin}/oauth2/callback`),
  tls,
});

await run(async (browser) => {
  const application = await startApplication();
  const configuration = (origin, { ca, secret, more = '' }) => `
server:
  listen: "${new URL(origin).host}"
  public_url: "${origin}"
  tls: { certificates: [{ certificate: server.pem, key: server.key }] }
providers:
  certified:
    name: Example Inc.
    issuer: "${provider.issuer}"
    client_id: portcullis
    client_secret: ${secret}
    ca: ${ca}
    ${more}
session: { outage_grace: 5s }
routes:
  - { upstream: "${application}", allow: authenticated }
`;
  await startGateway('tls', configuration(gateway, { ca: 'ours.pem', secret: 'op-secret' }));
  const alices = await browser.newContext({ ignoreHTTPSErrors: true });
  const alice = await alices.newPage();

  await check('a browser signs in over HTTP/2, with TLS at the gateway and the provider', async () => {
    await alice.goto(`${gateway}/page`);
    assert.ok(alice.url().startsWith(`${provider.issuer}/`), alice.url());
    await signIn(alice, 'alice');
    await alice.getByText('alice at').waitFor();
    const protocol = () => performance.getEntriesByType('navigation')[0].nextHopProtocol;
    assert.equal(await alice.evaluate(protocol), 'h2');
  });

  await check('each cookie has __Host-, Secure and HttpOnly', async () => {
    const cookies = await alices.cookies(gateway);
    assert.deepEqual(cookies.map(({ name }) => name).sort(), ['__Host-portcullis', '__Host-portcullis-login']);
    for (const { domain, path, secure, httpOnly, sameSite } of cookies) {
      const expected = { domain: 'localhost', path: '/', secure: true, httpOnly: true, sameSite: 'Lax' };
      assert.deepEqual({ domain, path, secure, httpOnly, sameSite }, expected);
    }
  });

  await check('curl verifies the certificate and gets HTTP/2 or HTTP/1.1 as requested', () => {
    assert.equal(curl('--http2', `${gateway}/oauth2/ping`), '2 200');
    assert.equal(curl('--http2', '-H', 'Accept: text/html', `${gateway}/page`), '2 302');
    assert.equal(curl('--http2', `${gateway}/page`), '2 401');
    assert.equal(curl('--http1.1', `${gateway}/oauth2/ping`), '1.1 200');
    assert.equal(curl('--tls-max', '1.2', `${gateway}/oauth2/ping`), '2 200');
    assert.throws(() => curl('--tls-max', '1.1', `${gateway}/oauth2/ping`), 'TLS 1.1 is over');
    assert.throws(() => curl(`http://${new URL(gateway).host}/oauth2/ping`), 'TLS only');
  });

  await check('a page of the provider posts its answer, without the session cookie', async () => {
    const more = 'response_mode: form_post';
    await startGateway('posting', configuration(posting, { ca: 'ours.pem', secret: 'op-secret', more }));
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    const posted = [];
    page.on('response', async (answer) => {
      if (answer.url().startsWith(`${posting}/oauth2/callback`)) posted.push(answer);
    });
    const attributes = async () => Object.fromEntries(
      (await context.cookies(posting)).map(({ name, sameSite, secure }) => [name, `${sameSite} ${secure}`]));
    await page.goto(`${posting}/page?q=1`);
    await signIn(page, 'alice');
    await page.getByText('alice at').waitFor();
    assert.equal(page.url(), `${posting}/page?q=1`);
    const expected = { '__Host-portcullis': 'Lax true', '__Host-portcullis-login': 'None true' };
    assert.deepEqual(await attributes(), expected);
    // Signed in again, in spite of a session. Its cookie does not come along.
    await page.goto(`${posting}/oauth2/start?rd=/again&prompt=login`);
    await signIn(page, 'bob');
    await page.getByText('bob at').waitFor();
    for (const answer of posted) {
      assert.deepEqual([answer.request().method(), answer.status(), new URL(answer.url()).search], ['POST', 303, '']);
      const cookies = (await answer.request().allHeaders()).cookie;
      assert.match(cookies, /^__Host-portcullis-login=[^;]*$/);
    }
    assert.equal(posted.length, 2);
  });

  await check('new keys of the provider are accepted at the next sign-in', async () => {
    provider.rotateKeys();
    const page = await stranger(browser, `${gateway}/page`);
    await signIn(page, 'bob');
    await page.getByText('bob at').waitFor();
  });

  await check('an account that the provider removed is signed out by the next refresh', async () => {
    const page = await stranger(browser, `${gateway}/page`);
    await signIn(page, 'bob');
    await page.getByText('bob at').waitFor();
    provider.forget('bob');
    await until('bob is sent to sign in', async () => {
      await page.goto(`${gateway}/page`);
      return page.url().startsWith(`${provider.issuer}/`);
    });
    await logged(/"event":"session_ended".*"subject":"bob".*"reason":"ended"/);
    await alice.reload();
    await alice.getByText('alice at').waitFor();
  });

  await check('a sign-in at an unreachable provider gets a page with the reason', async () => {
    const page = await stranger(browser, `${gateway}/page?q=1`);
    const callback = await callbackOf(page, 'alice');
    await alice.reload();
    await provider.stop();
    const response = await page.goto(callback);
    assert.equal(response.status(), 503);
    assert.ok(response.headers()['retry-after'] > 0);
    await page.getByRole('heading', { name: 'The sign-in service does not answer' }).waitFor();
    await page.getByText('Example Inc.').first().waitFor();
    const reference = await page.locator('footer code').innerText();
    const line = await logged(new RegExp(`"status":503.*"request_id":"[^"]*${reference}".*"reason":`));
    assert.match(line, /cannot reach 127\.0\.0\.1:\d+: .*refused/i);
    assert.doesNotMatch(line, /code=|state=/);
    await provider.comeBack();
    await page.getByRole('link', { name: 'Try again' }).click();
    await page.getByText('alice at').waitFor();
    assert.equal(page.url(), `${gateway}/page?q=1`);
  });

  await check('a session is used during a provider outage until its grace period ends', async () => {
    const before = provider.seen.refresh_token;
    await until('a refresh', async () => await statusFor(alices) === 200 && provider.seen.refresh_token > before);
    await provider.stop();
    const ends = provider.seen.access_token_ends;
    await until('the access token expires', () => Date.now() / 1000 > ends + 0.2);
    assert.equal(await statusFor(alices), 200);
    await until('the grace is over', async () => await statusFor(alices) !== 200);
    assert.ok(Date.now() / 1000 > ends + 4, 'the grace is five seconds');
    assert.equal(await statusFor(alices), 302);
  });

  await check('a gateway that starts during the outage logs it, and works when the provider is back', async () => {
    await startGateway('late', configuration(misconfigured, { ca: 'ours.pem', secret: 'wrong' }));
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    const response = await page.goto(`${misconfigured}/page`);
    assert.equal(response.status(), 503);
    await page.getByRole('heading', { name: 'The sign-in service does not answer' }).waitFor();
    await provider.comeBack();
    await until('a form to sign in', async () => {
      await page.getByRole('link', { name: 'Try again' }).click();
      return page.url().startsWith(`${provider.issuer}/`);
    });
    await page.getByLabel('Login').waitFor();
  });

  await check('a session from before the outage is used after it without a new sign-in', async () => {
    await until('alice goes on', async () => await statusFor(alices) === 200);
    await alice.goto(`${gateway}/page`);
    await alice.getByText('alice at').waitFor();
  });

  await check('a wrong client secret is in the log, and not on the page', async () => {
    const page = await stranger(browser, `${misconfigured}/page`);
    const [response] = await Promise.all([
      page.waitForResponse((answer) => answer.url().startsWith(`${misconfigured}/oauth2/callback`)),
      signIn(page, 'alice'),
    ]);
    assert.equal(response.status(), 502);
    await page.getByRole('link', { name: 'Try again' }).waitFor();
    assert.doesNotMatch(await page.locator('body').innerText(), /client|secret/i);
    await logged(/"status":502.*"reason":"[^"]*invalid_client[^"]*check `client_id`, `client_secret`/);
  });

  await check('a certificate of an unknown authority is in the log, with the remedy', async () => {
    await startGateway('distrustful', configuration(distrustful, { ca: 'strange.pem', secret: 'op-secret' }));
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    const response = await page.goto(`${distrustful}/page`);
    assert.equal(response.status(), 503);
    await page.getByRole('heading', { name: 'The sign-in service does not answer' }).waitFor();
    await logged(/"level":"WARN".*cannot reach 127\.0\.0\.1:\d+: [^"]*`ca`/);
    await logged(/"status":503.*"reason":"[^"]*`ca`/);
  });
});
await provider.stop().catch(() => {});

// A page of a new browser, at the provider's form.
async function stranger(browser, target) {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await page.goto(target);
  await page.getByLabel('Login').waitFor();
  return page;
}

// The response to a page load.
async function statusFor(context) {
  const headers = { accept: 'text/html' };
  return (await context.request.get(`${gateway}/page`, { headers, maxRedirects: 0 })).status();
}

// "VERSION STATUS" of a response; throws if there is none.
function curl(...args) {
  const common = ['-sS', '--noproxy', '*', '--cacert', 'ours.pem', '-o', '/dev/null', '-w', '%{http_version} %{http_code}'];
  return execFileSync('curl', [...common, ...args], { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}
