// A real Keycloak for the tests, of target/keycloak (tests/run puts it there), with its database in a folder of the test.
//
// Browsers reach it at `public_`, a proxy of the test, and programs at `internal` too, as behind a load balancer: its
// option `hostname` is the public origin, and `hostname-backchannel-dynamic` names the other endpoints at the origin of
// the request. With TLS it also listens at `internalTls`, and asks there for the certificates of clients. `admin` changes it
// by its REST API.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const HOME = fileURLToPath(new URL('../../target/keycloak', import.meta.url));
// The first start also compiles its configuration.
const START_SECONDS = 200;
const ADMIN = { client_id: 'admin', client_secret: 'admin-secret' };

/// Starts Keycloak on `port` of loopback, for browsers at `origin`. `folder` gets its database. `tls` is the names of files
/// there: its own `certificate` (and its key), and the `authority` of clients.
export async function startKeycloak({ port, origin, folder, tls }) {
  const internal = `http://127.0.0.1:${port}`;
  const tlsPort = await freePort();
  const log = [];
  let child;

  const start = async () => {
    child = spawn('bash', [`${HOME}/bin/kc.sh`, 'start-dev', '--cache=local', '--http-host=127.0.0.1',
      `--http-port=${port}`, `--http-management-port=${await freePort()}`, `--hostname=${origin}`,
      `--https-port=${tlsPort}`, `--https-certificate-file=${folder}/${tls.certificate}.pem`,
      `--https-certificate-key-file=${folder}/${tls.certificate}.key`, '--https-client-auth=request',
      `--truststore-paths=${folder}/${tls.authority}.pem`,
      '--hostname-backchannel-dynamic=true', `--db-url=jdbc:h2:file:${folder}/keycloak;NON_KEYWORDS=VALUE`], {
      env: {
        ...process.env,
        JAVA_OPTS_KC_HEAP: '-Xms128m -Xmx512m',
        KC_BOOTSTRAP_ADMIN_CLIENT_ID: ADMIN.client_id,
        KC_BOOTSTRAP_ADMIN_CLIENT_SECRET: ADMIN.client_secret,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.ended = new Promise((resolve) => { child.on('close', resolve); });
    await new Promise((resolve, reject) => {
      const read = (chunk) => {
        log.push(String(chunk));
        if (/Listening on: http/.test(chunk)) resolve();
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      const fail = (how) => reject(new Error(`Keycloak ${how}:\n${log.slice(-40).join('')}`));
      child.ended.then(() => fail('ended before it was ready'));
      setTimeout(fail, START_SECONDS * 1000, `was not ready within ${START_SECONDS} s`).unref();
    });
  };
  // The process of Java, which the script starts.
  const signal = (name) => {
    const children = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    process.kill(Number(children[0]) || child.pid, name);
  };
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) signal('SIGTERM');
    await child.ended;
  };
  await start().catch(async (error) => {
    await stop();
    throw error;
  });

  let token = { ends: 0 };
  const admin = async (method, path, body) => {
    if (Date.now() > token.ends) {
      const response = await fetch(`${internal}/realms/master/protocol/openid-connect/token`, {
        method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials', ...ADMIN }),
      });
      const { access_token: text, expires_in: seconds } = await response.json();
      token = { text, ends: Date.now() + seconds * 500 };
    }
    const response = await fetch(`${internal}/admin/realms${path}`, {
      method,
      headers: { authorization: `Bearer ${token.text}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  };
  // Reads a representation, changes it, and writes it back.
  const change = async (path, difference) => {
    const now = await admin('GET', path);
    await admin('PUT', path, { ...now, ...difference });
  };
  return {
    internal,
    internalTls: `https://127.0.0.1:${tlsPort}`,
    admin,
    change,
    userPath: async (realm, username) => {
      const [{ id }] = await admin('GET', `/${realm}/users?exact=true&username=${username}`);
      return `/${realm}/users/${id}`;
    },
    clientPath: async (realm, clientId) => {
      const [{ id }] = await admin('GET', `/${realm}/clients?clientId=${clientId}`);
      return `/${realm}/clients/${id}`;
    },
    restart: async (between) => {
      await stop();
      await between();
      await start();
    },
    suspend: () => signal('SIGSTOP'),
    resume: () => signal('SIGCONT'),
    stop,
  };
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
