// A certified OpenID provider (oidc-provider) for the tests, on a free port.
//
// As a module it exports `startProvider`, whose provider can rotate its keys, remove an account, stop
// and start again. As a program
//
//   node op.mjs REDIRECT_URI [POST_LOGOUT_REDIRECT_URI]
//
// it prints its issuer on a line when it is ready, and ends when its standard input does.
//
// Its access tokens are valid for five seconds and its refresh tokens once. It has the accounts
// "alice", "bob" and "carol" (any password) and the client "portcullis" with the secret "op-secret".
// GET /test/seen returns counts of the token requests and the end of the newest access token.

import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { fileURLToPath } from 'node:url';
import Provider, { interactionPolicy } from 'oidc-provider';
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js';

const ACCOUNTS = {
  alice: { name: 'Alice Adams', groups: ['staff', 'wiki'] },
  bob: { name: 'Bob Brown', groups: ['wiki'] },
  // Her ID tokens are longer than 3 KiB.
  carol: { name: 'Carol Clark', groups: Array.from({ length: 100 }, (_, number) => `group-${number}-of-a-large-company`) },
};
export const ACCESS_TOKEN_SECONDS = 5;
const DAY = 86400;

/// Starts a provider at `host`, with TLS if `tls` has `{ cert, key }`. With `takesPosts`, which needs TLS, its pages also
/// answer to POST. `clients` are other ones than "portcullis". `alias` is `{ host, cert, key, ca }`: another host, which
/// requests the certificates of clients, and those of `ca` are authorized.
export async function startProvider(options) {
  const { host = '127.0.0.1', port: wanted = 0, tls, alias } = options;
  const accounts = { ...ACCOUNTS };
  const adapter = createMemoryAdapter();
  const seen = { authorization_code: 0, refresh_token: 0, rejected: 0, revoked: 0, access_token_ends: 0 };
  const requests = [];
  const server = tls ? https.createServer(tls) : http.createServer();
  const listen = (port) => listening(server, port, host);
  await listen(wanted);
  const { port } = server.address();
  const issuer = `${tls ? 'https' : 'http'}://${host}:${port}`;
  const mutual = alias && https.createServer({ ...alias, requestCert: true, rejectUnauthorized: false });
  if (mutual) await listening(mutual, 0, alias.host);
  const aliasOrigin = mutual && `https://${alias.host}:${mutual.address().port}`;

  let serve;
  // A provider with new keys and the data of the one before it.
  const rotateKeys = () => {
    const provider = new Provider(issuer, configuration({ ...options, accounts, adapter, aliasOrigin }));
    observe(provider, seen);
    provider.use(recorder(requests));
    const standard = provider.callback();
    serve = (request, response) => (request.url.startsWith('/interaction/')
      ? interact(provider, accounts, request, response)
      : standard(request, response));
  };
  rotateKeys();
  mutual?.on('request', (request, response) => serve(request, response));
  server.on('request', (request, response) => {
    if (request.url === '/test/seen') return answer(response, 200, 'application/json', JSON.stringify(seen));
    return serve(request, response);
  });

  return {
    issuer,
    aliasOrigin,
    seen,
    requests,
    rotateKeys,
    forget: (account) => { delete accounts[account]; },
    stop: () => Promise.all([server, mutual].filter(Boolean).map((it) => new Promise((resolve) => {
      it.close(resolve).closeAllConnections();
    }))),
    comeBack: () => listen(port),
  };
}

function listening(server, port, host) {
  return new Promise((resolve, reject) => { server.once('error', reject).listen(port, host, resolve); });
}

const PORTCULLIS = { client_id: 'portcullis', client_secret: 'op-secret', token_endpoint_auth_method: 'client_secret_basic' };

function configuration({
  redirectUris, postLogoutRedirectUris = [], takesPosts = false, clients = [PORTCULLIS], accounts, adapter, aliasOrigin,
}) {
  return {
    adapter,
    clients: clients.map((client) => ({
      redirect_uris: redirectUris,
      post_logout_redirect_uris: postLogoutRedirectUris,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...client,
    })),
    jwks: { keys: [signingKey()] },
    // Without keys its cookies are not signed: browsers keep 180 per host, and each tab uses some.
    cookies: takesPosts ? { long: { sameSite: 'none' } } : {},
    enableHttpPostMethods: takesPosts,
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'groups'],
    },
    // All claims are then in the ID token, also in the one of a refresh.
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: true, logoutSource: (ctx, form) => { ctx.body = logout(form); } },
      revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
      ...(aliasOrigin && { mTLS }),
    },
    ...(aliasOrigin && {
      clientAuthMethods: Object.values(METHODS).flat(),
      discovery: {
        mtls_endpoint_aliases: {
          token_endpoint: `${aliasOrigin}/token`,
          revocation_endpoint: `${aliasOrigin}/token/revocation`,
          userinfo_endpoint: `${aliasOrigin}/me`,
        },
      },
    }),
    renderError: (ctx, out) => { ctx.body = out; },
    interactions: { policy: policy(), url: (_, interaction) => `/interaction/${interaction.uid}` },
    ttl: {
      AccessToken: ACCESS_TOKEN_SECONDS, IdToken: DAY, RefreshToken: DAY,
      AuthorizationCode: 60, Interaction: 600, Session: DAY, Grant: DAY,
    },
    issueRefreshToken: async () => true,
    rotateRefreshToken: () => true,
    findAccount: async (_, id) => accounts[id] && {
      accountId: id,
      claims: async () => ({
        sub: id, preferred_username: id, email: `${id}@example.com`, email_verified: true, ...accounts[id],
      }),
    },
  };
}

// RFC 8705, with the certificate of the connection.
const mTLS = {
  enabled: true,
  certificateBoundAccessTokens: true,
  tlsClientAuth: true,
  selfSignedTlsClientAuth: true,
  getCertificate: ({ socket }) => {
    const { raw } = socket.getPeerCertificate?.() ?? {};
    return raw && new X509Certificate(raw).toString();
  },
  certificateAuthorized: ({ socket }) => socket.authorized,
  certificateSubjectMatches: ({ socket }, _, expected) => (
    socket.getPeerCertificate().subjectaltname === `DNS:${expected}`),
};

// The registered methods by what a request has.
const METHODS = {
  header: ['client_secret_basic'],
  client_secret: ['client_secret_post'],
  client_assertion: ['client_secret_jwt', 'private_key_jwt'],
  certificate: ['tls_client_auth', 'self_signed_tls_client_auth'],
  none: ['none'],
};

// Records the requests that authenticate a client, and those for userinfo: the client, how the request authenticates it, the
// endpoint and its host.
function recorder(requests) {
  return async (ctx, next) => {
    await next();
    const { route, client, body = {} } = ctx.oidc ?? {};
    if (!['token', 'revocation', 'userinfo'].includes(route)) return;
    const has = {
      header: ctx.headers.authorization?.startsWith('Basic '),
      client_secret: body.client_secret !== undefined,
      client_assertion: body.client_assertion !== undefined,
      certificate: Boolean(mTLS.getCertificate(ctx)),
    };
    requests.push({
      client: client?.clientId ?? body.client_id,
      registered: client?.clientAuthMethod,
      has: Object.keys(has).filter((name) => has[name]),
      claims: has.client_assertion && JSON.parse(Buffer.from(body.client_assertion.split('.')[1], 'base64url')),
      endpoint: body.grant_type ?? route,
      host: ctx.host,
      status: ctx.status,
    });
  };
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' };
}

// The usual one, and prompt=select_account, which many providers support.
function policy() {
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0);
  return policy;
}

function observe(provider, seen) {
  provider.on('grant.success', (ctx) => {
    seen[ctx.oidc.params.grant_type] += 1;
    seen.access_token_ends = Date.now() / 1000 + ACCESS_TOKEN_SECONDS;
  });
  provider.on('grant.error', () => { seen.rejected += 1; });
  provider.on('refresh_token.destroyed', () => { seen.revoked += 1; });
}

async function interact(provider, accounts, request, response) {
  try {
    await interaction(provider, accounts, request, response);
  } catch (error) {
    answer(response, 500, 'text/plain', String(error));
  }
}

// A form with a login and a password, without a consent page. If the browser has signed in since in
// another tab, loading the form again is enough.
async function interaction(provider, accounts, request, response) {
  const interaction = await provider.interactionDetails(request, response);
  if (interaction.prompt.name !== 'consent') {
    const session = await provider.Session.get(provider.createContext(request, response));
    if (session.accountId && !interaction.session) {
      response.writeHead(303, { location: `/auth?${new URLSearchParams(interaction.params)}` }).end();
      return undefined;
    }
    if (request.method !== 'POST') return answer(response, 200, 'text/html; charset=utf-8', LOGIN);
    const fields = new URLSearchParams(await text(request));
    const accountId = fields.get('login');
    if (!accounts[accountId]) return answer(response, 200, 'text/html; charset=utf-8', LOGIN);
    return provider.interactionFinished(request, response, { select_account: {}, login: { accountId } });
  }
  const grant = interaction.grantId
    ? await provider.Grant.find(interaction.grantId)
    : new provider.Grant({ accountId: interaction.session.accountId, clientId: interaction.params.client_id });
  grant.addOIDCScope(interaction.params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

const LOGIN = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Provider</title></head><body>
<form method="post">
<label>Login <input name="login" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Continue</button>
</form></body></html>`;

const logout = (form) => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Provider</title></head><body>
${form}<button form="op.logoutForm" name="logout" value="yes">Yes, sign out</button>
</body></html>`;

async function text(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

function answer(response, status, type, body) {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [redirectUri, postLogoutRedirectUri] = process.argv.slice(2);
  if (!redirectUri) {
    console.error('usage: node op.mjs REDIRECT_URI [POST_LOGOUT_REDIRECT_URI]');
    process.exit(64);
  }
  const postLogoutRedirectUris = postLogoutRedirectUri ? [postLogoutRedirectUri] : [];
  const { issuer } = await startProvider({ redirectUris: [redirectUri], postLogoutRedirectUris });
  console.log(issuer);
  process.stdin.resume().on('end', () => process.exit(0));
}
