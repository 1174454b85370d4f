// A real Canaille for the tests, of target/canaille (tests/run puts it there), with its database in a folder of the test.
//
// It listens at `port` of loopback, for browsers and programs that reach it at `origin`.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PYTHON = fileURLToPath(new URL('../../target/canaille/bin/python', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../python/canaille_server.py', import.meta.url));
const START_SECONDS = 30;

/// Starts Canaille with these `users`, `groups` and `clients`, in the fields of its models. `folder` gets its
/// database. An access token lives `seconds.authorization_code` or `seconds.refresh_token`, by the grant that made it.
export async function startCanaille({ port, origin, folder, seconds, users, groups, clients }) {
  const configuration = {
    SECRET_KEY: 'a secret of the tests',
    SERVER_NAME: new URL(origin).host,
    PREFERRED_URL_SCHEME: 'http',
    OAUTH2_TOKEN_EXPIRES_IN: seconds,
    // Without HTMX, which sends half of a form while a test fills in the rest.
    CANAILLE: { DATABASE: 'sql', SMTP: null, HTMX: false },
    CANAILLE_SQL: { DATABASE_URI: `sqlite:///${folder}/canaille.sqlite` },
  };
  const settings = JSON.stringify({ configuration, users, groups, clients });
  const child = spawn(PYTHON, [PROGRAM, port, settings], { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  child.ended = new Promise((resolve) => { child.on('close', resolve).on('error', resolve); });
  let printed = '';
  const prints = (what) => new Promise((resolve, reject) => {
    const look = () => { if (what.test(printed)) resolve(); };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    const fail = (how) => reject(new Error(`Canaille ${how}:\n${printed.slice(-4000)}`));
    child.ended.then(() => fail('ended'));
    setTimeout(fail, START_SECONDS * 1000, `did not print ${what} within ${START_SECONDS} s`).unref();
  });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { printed += chunk; });
  const stop = async () => {
    child.stdin.end();
    await child.ended;
  };
  await prints(/Running on/).catch(async (error) => {
    await stop();
    throw error;
  });
  return {
    /// Changes a user: `lock USER` or `join USER GROUP`.
    change: (command) => {
      const done = prints(new RegExp(`^${command}$`, 'm'));
      child.stdin.write(`${command}\n`);
      return done;
    },
    stop,
  };
}
