// Authorities and certificates for the tests, made by openssl, valid for two days.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/// An authority: NAME.pem and NAME.key in `folder`.
export function authority(folder, name) {
  openssl(folder, 'req', '-x509', '-subj', `/CN=Authority ${name}`, ...newKey(name), ...TWO_DAYS, '-out', `${name}.pem`);
  return name;
}

/// A certificate of an authority for `names`, such as "DNS:localhost,IP:127.0.0.1": NAME.pem and NAME.key.
export function certify(folder, name, issuer, names) {
  fs.writeFileSync(path.join(folder, `${name}.ext`), `subjectAltName=${names}`);
  openssl(folder, 'req', '-new', '-subj', `/CN=${name}`, ...newKey(name), '-out', `${name}.csr`);
  openssl(folder, 'x509', '-req', '-in', `${name}.csr`, '-extfile', `${name}.ext`, ...TWO_DAYS,
    '-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`, '-CAcreateserial', '-out', `${name}.pem`);
  const read = (suffix) => fs.readFileSync(path.join(folder, name + suffix));
  return { cert: read('.pem'), key: read('.key') };
}

const TWO_DAYS = ['-days', '2'];

function newKey(name) {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];
}

function openssl(folder, ...args) {
  execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}
