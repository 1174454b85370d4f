// Shared by the browser scripts: claims that are counted, processes that end with the script, and waiting
// for a condition instead of for time.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = createRequire(new URL('../node/', import.meta.url));
const { chromium } = modules('playwright-core');
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const children = [];
const servers = [];
const logs = [];
let failed = 0;

/// Seconds until a condition that is waited for counts as failed.
export const PATIENCE = 20;

/// The gateway under test.
export const PORTCULLIS = process.env.PORTCULLIS ?? path.join(ROOT, 'target/release/portcullis');

/// A file of the repository.
export const file = (name) => path.join(ROOT, name);

/// The source of axe-core, which finds what people with disabilities cannot use.
export const axe = () => modules('axe-core').source;

/// A folder that is removed at the end.
export const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'portcullis-browser-'));

const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
};

/// Runs one script to its end: `body` states its claims with `check`.
export async function run(body, browserFlags = []) {
  const browser = await chromium.launch({ ...LAUNCH, args: [...LAUNCH.args, ...browserFlags] });
  try {
    await body(browser);
  } catch (error) {
    failed += 1;
    console.log(`not ok - the script ran to its end\n${error.stack}`);
  } finally {
    await browser.close();
    await Promise.all(children.map(end));
    for (const server of servers) server.close().closeAllConnections();
    fs.rmSync(folder, { recursive: true, force: true });
  }
  if (failed) console.log(`--- output of the processes\n${logs.slice(-80).join('\n')}`);
  process.exitCode = failed ? 1 : 0;
}

// Sends SIGTERM to a process, and SIGKILL if it does not end.
async function end(child) {
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), PATIENCE * 1000);
  await child.ended;
  clearTimeout(killing);
}

/// The context of a browser of its own, whose user has chosen to block the cookies of a host.
export function browserThatBlocksCookiesOf(host) {
  const cookies = { [`${host},*`]: { setting: 2 } };
  const preferences = { profile: { content_settings: { exceptions: { cookies } } } };
  write('blocking/Default/Preferences', JSON.stringify(preferences));
  return chromium.launchPersistentContext(path.join(folder, 'blocking'), LAUNCH);
}

/// One claim: a line "ok - CLAIM" or "not ok - CLAIM".
export async function check(claim, body) {
  try {
    await body();
    console.log(`ok - ${claim}`);
  } catch (error) {
    failed += 1;
    console.log(`not ok - ${claim}\n${error.stack}`);
  }
}

/// Starts a process; resolves with the first match of `ready` in what it prints.
export function start(command, args, ready) {
  const child = spawn(command, args, { cwd: folder, stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  child.ended = new Promise((resolve) => { child.on('close', resolve).on('error', resolve); });
  return new Promise((resolve, reject) => {
    let printed = '';
    const read = (chunk) => {
      printed += chunk;
      logs.push(...String(chunk).trimEnd().split('\n').map((line) => `${path.basename(command)}: ${line}`));
      const match = printed.match(ready);
      if (match) resolve(match);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    const fail = (how) => reject(new Error(`${command} ${how}:\n${printed}`));
    child.ended.then(() => fail('ended before it was ready'));
    setTimeout(fail, PATIENCE * 1000, `was not ready within ${PATIENCE} s`).unref();
  });
}

/// Starts a gateway with this configuration.
export function startGateway(name, yaml) {
  const whole = `${yaml}\nadmin: { listen: "off" }\ntelemetry: { log: { format: json } }\n`;
  return start(PORTCULLIS, ['run', '--config', write(`${name}.yaml`, whole)], /"message":"listening"/);
}

/// Runs `check` on a configuration: its exit code, and what it prints.
export function checked(name, yaml, ...options) {
  const args = ['check', ...options, '--config', write(`${name}.yaml`, yaml)];
  return new Promise((resolve) => {
    execFile(PORTCULLIS, args, (error, output) => resolve({ code: error?.code ?? 0, output }));
  });
}

/// The public keys that `check` prints to be registered, by provider.
export async function keysToRegister(yaml) {
  const { output } = await checked('keys', yaml);
  const lines = [...output.matchAll(/^([a-z-]+): public JWK to register: (.*)$/gm)];
  return Object.fromEntries(lines.map(([, id, jwk]) => [id, JSON.parse(jwk)]));
}

/// Waits for a line of some process that matches, and returns it.
export function logged(pattern) {
  return until(`a log line like ${pattern}`, () => logs.find((line) => pattern.test(line)));
}

/// An application that answers every request with a page that shows the request and its user, unless `pages` has a
/// page for the path: `{ type, body }`.
export function startApplication(pages = {}) {
  const server = http.createServer(async (request, response) => {
    const { host, 'x-forwarded-user': user = 'no user', 'sec-fetch-dest': dest } = request.headers;
    const sent = await text(request);
    const says = `${user} at ${host}${request.url} by ${request.method} ${sent} as ${dest}`;
    const body = `<!doctype html><title>Application</title><h1>${escaped(says)}</h1>`;
    const page = pages[request.url.split('?')[0]] ?? { type: 'text/html; charset=utf-8', body };
    response.writeHead(200, { 'content-type': page.type }).end(page.body);
  });
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

/// A proxy through which a browser reaches `origin`. It records each exchange, and passes on the `Set-Cookie`
/// fields that `keeps` accepts.
export async function startRecorder(port, origin, keeps = () => true) {
  const exchanges = [];
  const { hostname, port: there } = new URL(origin);
  const server = http.createServer((request, response) => {
    const { method, url, headers } = request;
    const exchange = { method, url, headers, body: '' };
    exchanges.push(exchange);
    request.on('data', (chunk) => { exchange.body += chunk; });
    const onward = http.request({ hostname, port: there, method, path: url, headers }, (answer) => {
      const cookies = (answer.headers['set-cookie'] ?? []).filter(keeps);
      Object.assign(exchange, { status: answer.statusCode, cookies });
      response.writeHead(answer.statusCode, { ...answer.headers, 'set-cookie': cookies });
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  servers.push(server);
  await new Promise((resolve) => { server.listen(port, '127.0.0.1', resolve); });
  return exchanges;
}

async function text(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

const escaped = (text) => text.replace(/[&<]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/// Fills in the form of the certified provider.
export async function signIn(page, login) {
  await page.getByLabel('Login').fill(login);
  await page.getByLabel('Password').fill('any');
  await page.getByRole('button', { name: 'Continue' }).click();
}

/// Signs in at the form of the certified provider, and returns the address of the callback without opening it.
export async function callbackOf(page, login) {
  const request = page.context().request;
  let response = await request.post(page.url(), { form: { login, password: 'any' }, maxRedirects: 0 });
  for (let hops = 0; hops < 10; hops += 1) {
    const there = new URL(response.headers().location, response.url());
    if (there.pathname.startsWith('/oauth2/callback')) return there.href;
    response = await request.get(there.href, { maxRedirects: 0 });
  }
  return assert.fail('the provider does not redirect to a callback');
}

/// Checks again and again until `condition` returns a true value, and returns that value.
export async function until(what, condition, seconds = PATIENCE) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) assert.fail(`waited ${seconds} s in vain until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/// A port of loopback that is free now.
export function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/// Writes a file into `folder` and returns its path.
export function write(name, text) {
  const target = path.join(folder, name);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.writeFileSync(target, text);
  return target;
}
