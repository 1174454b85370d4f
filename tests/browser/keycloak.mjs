// The gateway at a real Keycloak, with a browser and without. `tests/run` fetches Keycloak into target/keycloak.

import { generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import { authority, certify } from '../node/certificates.mjs';
import { startKeycloak } from '../node/keycloak.mjs';
import { outages } from './keycloak/outages.mjs';
import { configuration, realms, recheckingConfiguration } from './keycloak/realms.mjs';
import { refreshes } from './keycloak/refreshes.mjs';
import { signIns } from './keycloak/sign_ins.mjs';
import { signOuts } from './keycloak/sign_outs.mjs';
import { Visitor } from './keycloak/visitor.mjs';
import { folder, freePort, keysToRegister, run, startGateway, startRecorder, write } from './support.mjs';

// An application that answers with the headers of the request.
const server = http.createServer(({ headers }, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(headers));
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const application = `http://127.0.0.1:${server.address().port}`;

const gateway = `http://localhost:${await freePort()}`;
const rechecking = `http://localhost:${await freePort()}`;
for (const name of ['client', 'other']) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  write(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
}
// Keycloak listens at `port`. Browsers, and all providers but `split`, reach it at `origin`, a proxy that records.
const port = await freePort();
const origin = `http://localhost:${await freePort()}`;

await run(async (browser) => {
  const exchanges = await startRecorder(new URL(origin).port, `http://127.0.0.1:${port}`);
  certify(folder, 'keycloak', authority(folder, 'ours'), 'IP:127.0.0.1');
  authority(folder, 'of-clients');
  for (const name of ['certificate', 'other-certificate']) certify(folder, name, 'of-clients', 'DNS:gateway.example');
  const tls = { certificate: 'keycloak', authority: 'of-clients' };
  const keycloak = await startKeycloak({ port, origin, folder, tls });
  try {
    const text = configuration({ gateway, application, origin, keycloak });
    const keys = await keysToRegister(text);
    for (const realm of realms({ gateways: [gateway, rechecking], application, keys })) await keycloak.admin('POST', '', realm);
    await startGateway('keycloak', text);
    await startGateway('rechecking', recheckingConfiguration({ gateway: rechecking, application, origin, keycloak }));
    const visitor = async (at = gateway) => new Visitor(await browser.newContext(), at);
    const stage = { browser, gateway, rechecking, application, keycloak, origin, exchanges, visitor };
    await Promise.all([signIns(stage), refreshes(stage), signOuts(stage)]);
    await outages(stage);
  } finally {
    await keycloak.stop();
  }
});
server.close().closeAllConnections();
