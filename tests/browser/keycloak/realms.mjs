// The realms of the tests at Keycloak: their users, groups and clients, and the gateway's providers and routes for these.

/// The kind of the gateway's providers.
export const KIND = 'keycloak';

/// The life of an access token of the clients whose sessions are refreshed.
export const ACCESS_TOKEN_SECONDS = 4;

/// Carol's groups. Her ID tokens are longer than 20 KiB.
export const MANY_GROUPS = Array.from({ length: 300 }, (_, number) => (
  `group-${number}-of-a-company-that-likes-long-names-for-its-groups`));

const GROUPS = [{ name: 'staff', subGroups: [{ name: 'operators' }] }, ...MANY_GROUPS.map((name) => ({ name }))];
const USERS = [
  ['alice', 'Alice', { groups: ['/staff', '/staff/operators'], realmRoles: ['editor'] }],
  ['bob', 'Bob', {}],
  ['carol', 'Carol', { groups: MANY_GROUPS.map((name) => `/${name}`) }],
  ['dave', 'Dave', { emailVerified: false }],
  ['erin', 'Erin', {}],
  ['frank', 'Frank', {}],
  ['grace', 'Grace', { realmRoles: ['editor'] }],
  ['heidi', 'Heidi', {}],
];

const mapper = (type, claim, where, config) => ({
  name: claim,
  protocol: 'openid-connect',
  protocolMapper: type,
  config: {
    'claim.name': claim,
    'id.token.claim': String(where === 'id_token'),
    'access.token.claim': 'false',
    'userinfo.token.claim': 'true',
    ...config,
  },
});
const groupsIn = (where) => mapper('oidc-group-membership-mapper', 'groups', where, { 'full.path': 'true' });
const rolesIn = (where) => (
  mapper('oidc-usermodel-realm-role-mapper', 'realm_access.roles', where, { multivalued: 'true', 'jsonType.label': 'String' }));

const short = { 'access.token.lifespan': String(ACCESS_TOKEN_SECONDS) };
const IN_ID_TOKEN = [groupsIn('id_token'), rolesIn('id_token')];
const IN_USERINFO = [groupsIn('userinfo')];

/// The clients by realm. Each has its own provider at the gateway, with the same ID.
const CLIENTS = {
  company: {
    wiki: { mappers: IN_ID_TOKEN },
    refreshed: { attributes: short, mappers: IN_ID_TOKEN },
    secret: { attributes: short },
    audience: { attributes: short },
    split: { attributes: short },
    leaving: {},
    roles: { attributes: short },
    public: { publicClient: true },
    signing: { attributes: short },
    certificate: {
      clientAuthenticatorType: 'client-x509',
      attributes: { ...short, 'x509.subjectdn': 'CN=certificate' },
    },
    rechecked: {},
    signed: { attributes: { 'user.info.response.signature.alg': 'RS256' }, mappers: IN_USERINFO },
    lightweight: { attributes: { 'client.use.lightweight.access.token.enabled': 'true' }, mappers: IN_USERINFO },
  },
  rotating: { rotating: { attributes: short } },
  closing: { closing: { attributes: short } },
  keys: { keys: { attributes: short }, old: {} },
};
const REALMS = {
  company: { groups: GROUPS, roles: { realm: [{ name: 'editor' }] } },
  rotating: { revokeRefreshToken: true, refreshTokenMaxReuse: 0 },
  closing: {},
  keys: {},
};

// Another application of the realm, which has its own sign-in.
const portal = (application) => ({ clientId: 'portal', publicClient: true, redirectUris: [`${application}/portal`] });

/// What the import of a realm takes, for gateways at these origins. `keys` are the keys of clients by their IDs.
export function realms({ gateways, application, keys }) {
  const byKey = (key) => key && {
    clientAuthenticatorType: 'client-jwt',
    attributes: { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify({ keys: [key] }) },
  };
  return Object.entries(REALMS).map(([realm, settings]) => ({
    realm,
    enabled: true,
    users: (realm === 'company' ? USERS : USERS.slice(1, 2)).map(([username, firstName, user]) => ({
      username,
      firstName,
      lastName: 'Example',
      email: `${username}@example.com`,
      emailVerified: true,
      enabled: true,
      credentials: [{ type: 'password', value: 'any' }],
      ...user,
    })),
    clients: [portal(application), ...Object.entries(CLIENTS[realm]).map(([clientId, { mappers = [], attributes, ...more }]) => ({
      clientId,
      secret: `secret-of-${clientId}`,
      redirectUris: gateways.map((gateway) => `${gateway}/oauth2/callback`),
      ...byKey(keys[clientId]),
      protocolMappers: mappers,
      attributes: {
        'pkce.code.challenge.method': 'S256',
        'post.logout.redirect.uris': gateways.map((gateway) => `${gateway}/oauth2/signed_out`).join('##'),
        ...attributes,
        ...byKey(keys[clientId])?.attributes,
      },
      ...more,
    }))],
    ...settings,
  }));
}

const client = (id) => ({ client_id: id, client_secret: `secret-of-${id}` });

/// The gateway's configuration. The routes of a provider are `/ID`, and `/ID/tokens`, whose application gets the tokens.
export function configuration({ gateway, application, origin, keycloak }) {
  const provider = (id, realm, more = {}) => [id, {
    kind: KIND,
    issuer: `${origin}/realms/${realm}`,
    ...client(id),
    ...more,
  }];
  const providers = Object.fromEntries([
    ...Object.entries(CLIENTS).flatMap(([realm, clients]) => (
      Object.keys(clients).map((id) => provider(id, realm, MORE[id]?.(keycloak))))),
    provider('signed-required', 'company', { ...client('signed'), userinfo: 'always' }),
    provider('lightweight-required', 'company', { ...client('lightweight'), userinfo: 'always' }),
    provider('lightweight-roles', 'company', { ...client('lightweight'), ...MORE.roles() }),
    provider('unknown-scope', 'company', { ...client('wiki'), scopes: ['openid', 'groups'] }),
    provider('wrong-secret', 'company', { ...client('wiki'), client_secret: 'another' }),
    provider('wrong-certificate', 'company', { ...client('certificate'), ...MORE.certificate(keycloak, 'other-certificate') }),
    // Of an authority that Keycloak does not trust.
    provider('foreign-certificate', 'company', { ...client('certificate'), ...MORE.certificate(keycloak, 'keycloak') }),
    provider('wrong-key', 'company', { ...client('signing'), ...signing('other') }),
  ]);
  const tokens = { 'X-Forwarded-User': '{user}', 'X-Access-Token': '{access_token}', 'X-Id-Token': '{id_token}' };
  const route = (path, id, more) => ({ path, upstream: application, providers: [id], allow: 'authenticated', ...more });
  const sections = {
    server: { listen: new URL(gateway).host, public_url: gateway },
    providers,
    routes: [
      ...Object.keys(providers).flatMap((id) => [
        route(`/${id}`, id),
        route(`/${id}/tokens`, id, { identity_headers: tokens }),
      ]),
      route('/staff', 'wiki', { allow: [{ groups: ['/staff'] }] }),
      route('/operators', 'wiki', { allow: [{ groups: ['operators'] }] }),
      route('/last-group', 'wiki', { allow: [{ groups: [`/${MANY_GROUPS.at(-1)}`] }] }),
      route('/editors', 'wiki', { allow: [{ claims: { '/realm_access/roles': ['editor'] } }] }),
      route('/roles/editors', 'roles', { allow: [{ groups: ['editor'] }] }),
      route('/domain', 'wiki', { allow: [{ email_domains: ['example.com'] }] }),
    ],
  };
  // JSON is YAML.
  return Object.entries(sections).map(([key, section]) => `${key}: ${JSON.stringify(section)}`).join('\n');
}

/// The configuration of a gateway that rechecks its sessions, with the route `/rechecked`.
export function recheckingConfiguration(parts) {
  return `${configuration(parts)}\nsession: { recheck: 1s }\n`;
}

const signing = (key) => ({ client_secret: undefined, token_endpoint_auth_method: 'private_key_jwt', client_key: `${key}.key` });

const MORE = {
  signing: () => signing('client'),
  certificate: ({ internalTls }, name = 'certificate') => ({
    client_secret: undefined,
    token_endpoint_auth_method: 'tls_client_auth',
    client_certificate: `${name}.pem`,
    client_key: `${name}.key`,
    internal_origin: internalTls,
    ca: 'ours.pem',
  }),
  public: () => ({ client_secret: undefined, token_endpoint_auth_method: 'none' }),
  roles: () => ({ claims: { groups: 'access_token:/realm_access/roles' } }),
  refreshed: () => ({ timeout: '4s' }),
  split: ({ internal }) => ({ internal_origin: internal, timeout: '4s' }),
};
