// A browser, the gateway, a certified OpenID provider, and nginx as an application without sign-in.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import http from 'node:http';
import os from 'node:os';
import { ACCESS_TOKEN_SECONDS } from '../node/op.mjs';
import { PATIENCE, PORTCULLIS, check, file, folder, freePort, run, signIn, start, startGateway, until, write } from './support.mjs';

const gateway = `http://localhost:${await freePort()}`;
const application = `http://127.0.0.1:${await freePort()}`;
const prefix = `${gateway}/oauth2`;

await run(async (browser) => {
  const [issuer] = await start(
    process.execPath, [file('tests/node/op.mjs'), `${prefix}/callback`, `${prefix}/signed_out`], /^http:\S+$/m);
  const seen = async () => (await fetch(`${issuer}/test/seen`)).json();
  await startApplication();
  await startGateway('certified', `
server: { listen: "${new URL(gateway).host}", public_url: "${gateway}" }
providers:
  certified: { name: Certified, issuer: "${issuer}", client_id: portcullis, client_secret: op-secret }
routes:
  - { upstream: "${application}", allow: authenticated }
  - { path: /staff, upstream: "${application}", allow: [{ groups: [staff] }] }
  - { path: /open, upstream: "${application}", allow: public }
`);

  const alices = await browser.newContext();
  const alice = await alices.newPage();

  await check('a new browser is redirected to the provider, signs in and reaches the requested page', async () => {
    await alice.goto(`${gateway}/page.html?q=1`);
    assert.ok(alice.url().startsWith(`${issuer}/`), alice.url());
    await signIn(alice, 'alice');
    await alice.getByText('A page of files').waitFor();
    assert.equal(alice.url(), `${gateway}/page.html?q=1`);
  });

  await check('the application receives the identity of the user, and no forged one', async () => {
    await alice.setExtraHTTPHeaders({ 'X-Forwarded-User': 'mallory', 'X-Forwarded-Groups': 'admins', X_Forwarded_User: 'mallory' });
    await alice.goto(`${gateway}/whoami`);
    const page = await alice.locator('body').innerText();
    assert.match(page, /user=alice email=alice@example\.com groups=staff,wiki cookie=$/m);
    const anonymous = await ask('/open/whoami', { 'X-Forwarded-User': 'mallory' });
    assert.match(anonymous.body, /user= email= groups= /);
    await alice.setExtraHTTPHeaders({});
  });

  await check('the session outlives its access tokens', async () => {
    await until('three refreshes', async () => {
      const response = await alice.goto(`${gateway}/whoami`);
      assert.equal(response.status(), 200);
      assert.ok(alice.url().startsWith(gateway), alice.url());
      return (await seen()).refresh_token >= 3;
    });
    assert.equal((await seen()).authorization_code, 1);
    assert.equal((await seen()).rejected, 0);
  });

  await check('200 requests with an expired access token make one token request and get 200 good answers', async () => {
    const cookie = (await alices.cookies(gateway)).map(({ name, value }) => `${name}=${value}`).join('; ');
    await alice.goto('about:blank');
    await until('the access token expires', async () => Date.now() / 1000 > (await seen()).access_token_ends + 1);
    const [before, began] = [(await seen()).refresh_token, Date.now()];
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask('/whoami', { Cookie: cookie })));
    const good = answers.filter(({ status, body }) => status === 200 && body.startsWith('user=alice '));
    assert.equal(good.length, 200, JSON.stringify(answers.find((answer) => !good.includes(answer))));
    // If all of it takes longer than half the lifetime of a token, the next refresh is due.
    const due = 1 + Math.floor((Date.now() - began) / (ACCESS_TOKEN_SECONDS * 500));
    const refreshes = (await seen()).refresh_token - before;
    assert.ok(refreshes >= 1 && refreshes <= due, `${refreshes} of ${due}`);
    assert.equal((await seen()).rejected, 0);
  });

  await check('an API client without a session gets 401 and the sign-in URL', async () => {
    const { status, body } = await ask('/whoami', { Accept: 'application/json' });
    assert.equal(status, 401);
    assert.ok(JSON.parse(body).login_url.startsWith(`${prefix}/`), body);
  });

  const bobs = await browser.newContext();
  const bob = await bobs.newPage();
  await check('bob is denied the staff page, reads the reason, and can sign in as alice', async () => {
    await bob.goto(`${gateway}/staff/`);
    const [response] = await Promise.all([
      bob.waitForResponse((answer) => answer.url() === `${gateway}/staff/` && answer.status() !== 302),
      signIn(bob, 'bob'),
    ]);
    assert.equal(response.status(), 403);
    await bob.getByText('bob@example.com').waitFor();
    await bob.getByRole('link', { name: 'Use another account' }).click();
    await signIn(bob, 'alice');
    await bob.getByText('The staff room').waitFor();
  });

  await check('a sign-out ends the session at the gateway and at the provider', async () => {
    await alice.goto(`${prefix}/sign_out`);
    await leaveProvider(alice, issuer);
    await alice.goto(`${gateway}/page.html`);
    assert.ok(alice.url().startsWith(`${issuer}/`), alice.url());
  });

  await check('a sign-out that another site started needs a confirmation', async () => {
    await bob.goto(`${application}/elsewhere.html`);
    await bob.getByRole('link', { name: 'Win a prize' }).click();
    await bob.getByRole('heading', { name: 'Sign out?' }).waitFor();
    await bob.getByRole('button', { name: 'Sign out' }).click();
    await leaveProvider(bob, issuer);
    await bob.goto(`${gateway}/whoami`);
    assert.ok(bob.url().startsWith(`${issuer}/`), bob.url());
  });

  await check('check --online finds a wrong registration before the first sign-in', async () => {
    const online = (secret) => {
      const text = `server: { public_url: "${gateway}" }\nproviders:\n  certified:\n    issuer: "${issuer}"\n`
        + `    client_id: portcullis\n    client_secret: ${secret}\nroutes: [{ upstream: "${application}", allow: authenticated }]\n`;
      return spawnSync(PORTCULLIS, ['check', '--online', '--config', write('online.yaml', text)], { encoding: 'utf8' });
    };
    const right = online('op-secret');
    assert.equal(right.status, 0, right.stdout);
    assert.match(right.stdout, /^certified: (ok|OK): its metadata, its keys, the client's authentication, the redirect URI.*$/m);
    const wrong = online('another-secret');
    assert.equal(wrong.status, 78, wrong.stdout);
    assert.match(wrong.stdout, /online\.yaml:6: error: providers\.certified\.client_secret: .*invalid_client/);
  });
});

// The provider needs a confirmation, too; then it redirects the browser back to the gateway.
async function leaveProvider(page, issuer) {
  await page.waitForURL(`${issuer}/session/end*`);
  await page.getByRole('button', { name: /yes/i }).click();
  await page.waitForURL(`${prefix}/signed_out*`);
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
}

function ask(path, headers) {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE * 1000);
    http.get(gateway + path, { headers, agent: false, signal }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk) => { body += chunk; });
      response.on('end', () => resolve({ status: response.statusCode, body })).on('error', reject);
    }).on('error', reject);
  });
}

async function startApplication() {
  write('www/page.html', '<!doctype html><title>Files</title><h1>A page of files</h1>');
  write('www/elsewhere.html', `<!doctype html><title>Another site</title><a href="${prefix}/sign_out">Win a prize</a>`);
  write('www/staff/index.html', '<!doctype html><title>Staff</title><h1>The staff room</h1>');
  const received = 'user=$http_x_forwarded_user email=$http_x_forwarded_email '
    + 'groups=$http_x_forwarded_groups cookie=$http_cookie';
  const configuration = write('nginx.conf', `
    daemon off;
    user ${os.userInfo().username};
    pid ${folder}/nginx.pid;
    error_log stderr notice;
    events {}
    http {
      access_log off;
      types { text/html html; }
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
      uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
      server {
        listen ${new URL(application).host};
        root ${folder}/www;
        location ~ whoami$ { default_type text/plain; return 200 "${received}"; }
      }
    }`);
  await start('nginx', ['-p', folder, '-c', configuration, '-e', 'stderr'], /start worker process /);
}
