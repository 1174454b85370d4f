// The gateway at a real Canaille, with a browser. `tests/run` installs Canaille into target/canaille.
//
// Canaille does not say whether an e-mail is verified, and leaves out `iss` in errors. It refreshes without an ID token, and
// its refresh tokens work once, and end with the access tokens.

import assert from 'node:assert/strict';
import http from 'node:http';
import { startCanaille } from '../node/canaille.mjs';
import { check, checked, folder, freePort, logged, run, startGateway, startRecorder, until } from './support.mjs';

// The lives of access tokens. A first refresh is due after half of its time, and a second one comes in no test.
const SECONDS = { authorization_code: 20, refresh_token: 600 };
const PATIENCE_OF_REFRESHES = 60;
const PASSWORD = 'a password';
const SCOPES = ['openid', 'email', 'profile', 'groups'];
const METHODS = {
  wiki: 'client_secret_basic',
  refreshed: 'client_secret_basic',
  fresh: 'client_secret_basic',
  locked: 'client_secret_basic',
  posting: 'client_secret_post',
  public: 'none',
};

const gateway = `http://localhost:${await freePort()}`;
// Canaille listens at `port`. Browsers and the gateway reach it at `origin`, a proxy that records.
const port = await freePort();
const origin = `http://localhost:${await freePort()}`;

// An application that answers with the headers of the request.
const server = http.createServer(({ headers }, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(headers));
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const application = `http://127.0.0.1:${server.address().port}`;

const users = ['alice', 'bob', 'carol', 'dave', 'erin'].map((name) => ({
  user_name: name,
  display_name: `${name}-at-work`,
  formatted_name: `${name} Example`,
  family_name: 'Example',
  emails: [`${name}@example.com`],
  password: PASSWORD,
}));
const groups = [
  { display_name: 'staff', members: ['alice', 'carol'] },
  { display_name: 'wiki', members: ['alice', 'erin'] },
];
const clients = Object.entries(METHODS).map(([id, method]) => ({
  client_id: id,
  client_name: 'Portcullis',
  client_secret: method === 'none' ? undefined : `secret-of-${id}`,
  token_endpoint_auth_method: method,
  redirect_uris: [`${gateway}/oauth2/callback`],
  post_logout_redirect_uris: [`${gateway}/oauth2/signed_out`],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  scope: SCOPES,
}));

// The gateway's providers, with a route `/ID` each.
const registered = (id) => ({ issuer: origin, client_id: id, client_secret: `secret-of-${id}`, scopes: SCOPES });
const providers = {
  wiki: registered('wiki'),
  refreshed: registered('refreshed'),
  // Userinfo is asked at each refresh.
  fresh: { ...registered('fresh'), userinfo: 'always', require_email_verified: false },
  locked: registered('locked'),
  posting: { ...registered('posting'), token_endpoint_auth_method: 'client_secret_post' },
  public: { ...registered('public'), client_secret: undefined, token_endpoint_auth_method: 'none' },
  wrong: { ...registered('wiki'), client_secret: 'another' },
};
const routes = [
  ...Object.keys(providers).map((id) => ({ path: `/${id}`, providers: [id], allow: 'authenticated' })),
  {
    path: '/refreshed/token',
    providers: ['refreshed'],
    allow: 'authenticated',
    identity_headers: { 'X-Access-Token': '{access_token}' },
  },
  { path: '/staff', providers: ['wiki'], allow: [{ groups: ['staff'] }] },
];

// JSON is YAML.
const configuration = (sections) => (
  Object.entries(sections).map(([key, section]) => `${key}: ${JSON.stringify(section)}`).join('\n'));

await run(async (browser) => {
  const exchanges = await startRecorder(new URL(origin).port, `http://127.0.0.1:${port}`);
  const canaille = await startCanaille({ port, origin, folder, seconds: SECONDS, users, groups, clients });
  try {
    await startGateway('canaille', configuration({
      server: { listen: new URL(gateway).host, public_url: gateway },
      providers,
      routes: routes.map((route) => ({ ...route, upstream: application })),
    }));
    const stage = { browser, canaille, exchanges };
    await Promise.all([
      check('20 requests at once make one refresh, of a token that works once', () => refresh(stage)),
      check('a refresh asks userinfo for new groups', () => newGroups(stage)),
      check('the session of a locked user ends', () => locked(stage)),
      signInsAndOut(stage),
    ]);
  } finally {
    await canaille.stop();
  }
});
server.close().closeAllConnections();

async function signInsAndOut(stage) {
  await check('a user signs in with Chromium, agrees, and reaches the requested page', () => firstSignIn(stage));
  await check('a second sign-in of the same browser asks nothing', () => secondSignIn(stage));
  await check('a sign-out revokes the refresh token, ends the session at Canaille, and comes back', () => signOut(stage));
  await check('a user who does not agree gets a page, and no session', () => disagree(stage));
  await check('a user who is denied can use another account', () => anotherAccount(stage));
  await check('a wrong secret is an error of the provider, and the log names it', () => wrongSecret(stage));
  await check('a client with client_secret_post signs in', () => signedIn(stage, 'posting', 'alice'));
  await check('a public client signs in', () => signedIn(stage, 'public', 'alice'));
  await check('check --online finds what is wrong with a registration', online);
}

async function newPage({ browser }) {
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  return context.newPage();
}

// Fills in Canaille's pages as a person does.
async function signIn(page, login) {
  await page.getByLabel('Login').fill(login);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

// A page of a user who has signed in and sees what the application received.
async function signedIn(stage, provider, login) {
  const page = await newPage(stage);
  await page.goto(`${gateway}/${provider}`);
  await signIn(page, login);
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.waitForURL(`${gateway}/${provider}`);
  assert.equal((await received(page))['x-forwarded-user'], login);
  return page;
}

async function received(page) {
  return JSON.parse(await page.locator('body').innerText());
}

// One request of a program with the session of a page: the status, and what the application received.
async function ask(page, path) {
  const response = await page.request.get(gateway + path, { maxRedirects: 0 });
  const status = response.status();
  return { status, headers: status === 200 ? await response.json() : {} };
}

function groupsOf({ headers }) {
  return headers['x-forwarded-groups']?.split(',').toSorted();
}

async function firstSignIn(stage) {
  const page = await newPage(stage);
  await page.goto(`${gateway}/wiki/page?a=b`);
  assert.ok(page.url().startsWith(`${origin}/`), page.url());
  await signIn(page, 'alice');
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.waitForURL(`${gateway}/wiki/page?a=b`);
  const headers = await received(page);
  assert.equal(headers['x-forwarded-user'], 'alice');
  assert.equal(headers['x-forwarded-preferred-username'], 'alice-at-work');
  assert.deepEqual(groupsOf({ headers }), ['staff', 'wiki']);
  assert.equal(headers['x-forwarded-email'], undefined, 'it is not known to be verified');
  assert.equal((await ask(page, '/staff')).status, 200);
  stage.alice = page;
}

async function secondSignIn({ alice }) {
  // Canaille answers 500 to a second code of a user for one client within a second.
  const first = Math.floor(Date.now() / 1000);
  await until('another second has begun', () => Date.now() / 1000 > first + 1);
  await alice.context().clearCookies({ name: 'portcullis' });
  await alice.goto(`${gateway}/wiki/again`);
  assert.equal(alice.url(), `${gateway}/wiki/again`);
}

// Sends a request for tokens of the gateway's once more.
async function repeated({ headers: { authorization }, body }) {
  const response = await fetch(`${origin}/oauth/token`, {
    method: 'POST', headers: { authorization }, body: new URLSearchParams(body),
  });
  return [response.status, (await response.json()).error];
}

async function signOut({ alice, exchanges }) {
  await alice.goto(`${gateway}/oauth2/sign_out`);
  await alice.getByRole('heading', { name: 'You are signed out', exact: true }).waitFor();
  assert.ok(alice.url().startsWith(`${gateway}/oauth2/signed_out`), alice.url());
  const { status, headers, body } = await until('the refresh token is revoked', () => (
    exchanges.find(({ url }) => url === '/oauth/revoke')));
  assert.equal(status, 200);
  const token = new URLSearchParams(body).get('token');
  const refresh = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token });
  assert.deepEqual(await repeated({ headers, body: refresh }), [400, 'invalid_grant']);
  await alice.goto(`${gateway}/wiki`);
  await alice.getByLabel('Login').waitFor();
}

async function disagree(stage) {
  const page = await newPage(stage);
  await page.goto(`${gateway}/wiki`);
  await signIn(page, 'bob');
  await page.getByRole('button', { name: 'Deny' }).click();
  await page.getByRole('link', { name: 'Try again' }).waitFor();
  assert.ok(page.url().startsWith(`${gateway}/oauth2/callback`), page.url());
  assert.equal((await ask(page, '/wiki')).status, 401);
}

async function anotherAccount(stage) {
  // A user who has to agree after prompt=select_account is asked for the password again and again.
  await signedIn(stage, 'wiki', 'carol');
  const page = await newPage(stage);
  await page.goto(`${gateway}/staff`);
  await signIn(page, 'bob');
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByRole('heading', { name: 'You have no access' }).waitFor();
  await page.getByRole('link', { name: 'Use another account' }).click();
  await signIn(page, 'carol');
  await page.waitForURL(`${gateway}/staff`);
  assert.equal((await received(page))['x-forwarded-user'], 'carol');
}

async function wrongSecret(stage) {
  const page = await newPage(stage);
  await page.goto(`${gateway}/wrong`);
  await signIn(page, 'alice');
  await page.getByText('Signing in is not set up correctly').waitFor();
  assert.ok(page.url().startsWith(`${gateway}/oauth2/callback`), page.url());
  await logged(/"provider":"wrong".*invalid_client/);
}

async function online() {
  const outcome = (name, provider, gatewayUrl = gateway) => {
    const text = configuration({
      server: { public_url: gatewayUrl },
      providers: { company: { ...registered('wiki'), ...provider } },
      routes: [{ upstream: application, allow: 'authenticated' }],
    });
    return checked(name, text, '--online');
  };
  const [right, elsewhere, secret] = await Promise.all([
    outcome('right', {}),
    outcome('elsewhere', {}, 'http://localhost:1'),
    outcome('secret', { client_secret: 'another' }),
  ]);
  assert.deepEqual([right, elsewhere, secret].map(({ code }) => code), [0, 78, 78]);
  assert.match(right.output, /issuer: is a provider whose errors are rejected: authorization response: no `iss`/);
  assert.match(elsewhere.output, /the redirect URI http:\/\/localhost:1\/oauth2\/callback \(HTTP 400\)/);
  assert.match(secret.output, /client_secret: is not what is registered .*: the provider answered invalid_client/);
}

// The requests of a client so far that refresh.
function refreshesOf({ exchanges }, client) {
  return exchanges.filter(({ url, headers: { authorization = '' }, body }) => (
    url === '/oauth/token' && body.includes('grant_type=refresh_token')
    && Buffer.from(authorization.replace('Basic ', ''), 'base64').toString().startsWith(`${client}:`)));
}

async function refresh(stage) {
  const page = await signedIn(stage, 'refreshed', 'carol');
  const token = async () => (await ask(page, '/refreshed/token')).headers['x-access-token'];
  const first = await token();
  const { iat, exp } = JSON.parse(Buffer.from(first.split('.')[1], 'base64url'));
  assert.equal(exp - iat, SECONDS.authorization_code);
  await until('half of its life is over', () => Date.now() / 1000 > (iat + exp) / 2 + 1);
  const tokens = await Promise.all(Array.from({ length: 20 }, token));
  assert.ok(tokens.every(Boolean));
  await until('the tokens were refreshed', async () => (await token()) !== first);
  const made = refreshesOf(stage, 'refreshed');
  assert.deepEqual(made.map(({ status }) => status), [200]);
  assert.deepEqual(await repeated(made[0]), [400, 'invalid_grant']);
  // The claims of the ID token stay.
  assert.deepEqual(groupsOf(await ask(page, '/refreshed')), ['staff']);
}

async function newGroups(stage) {
  const page = await signedIn(stage, 'fresh', 'erin');
  const before = await ask(page, '/fresh');
  assert.equal(before.headers['x-forwarded-email'], 'erin@example.com');
  assert.deepEqual(groupsOf(before), ['wiki']);
  await stage.canaille.change('join erin staff');
  const isThere = async () => groupsOf(await ask(page, '/fresh')).includes('staff');
  await until('the new group is there', isThere, PATIENCE_OF_REFRESHES);
  assert.deepEqual(refreshesOf(stage, 'fresh').map(({ status }) => status), [200]);
}

async function locked(stage) {
  const page = await signedIn(stage, 'locked', 'dave');
  assert.equal(groupsOf(await ask(page, '/locked')), undefined);
  await stage.canaille.change('lock dave');
  await until('the session has ended', async () => (await ask(page, '/locked')).status === 401, PATIENCE_OF_REFRESHES);
  assert.deepEqual(refreshesOf(stage, 'locked').map(({ status }) => status), [400]);
}
