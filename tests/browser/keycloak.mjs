// The gateway at a real Keycloak, with a browser and without. `tests/run` fetches Keycloak into target/keycloak.

import http from 'node:http';
import { startKeycloak } from '../node/keycloak.mjs';
import { outages } from './keycloak/outages.mjs';
import { configuration, realms } from './keycloak/realms.mjs';
import { refreshes } from './keycloak/refreshes.mjs';
import { signIns } from './keycloak/sign_ins.mjs';
import { signOuts } from './keycloak/sign_outs.mjs';
import { Visitor } from './keycloak/visitor.mjs';
import { folder, freePort, run, startGateway, startRecorder } from './support.mjs';

// An application that answers with the headers of the request.
const server = http.createServer(({ headers }, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(headers));
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const application = `http://127.0.0.1:${server.address().port}`;

const gateway = `http://localhost:${await freePort()}`;
// Keycloak listens at `port`. Browsers, and all providers but `split`, reach it at `origin`, a proxy that records.
const port = await freePort();
const origin = `http://localhost:${await freePort()}`;

await run(async (browser) => {
  const exchanges = await startRecorder(new URL(origin).port, `http://127.0.0.1:${port}`);
  const keycloak = await startKeycloak({ port, origin, folder });
  try {
    for (const realm of realms(gateway, application)) await keycloak.admin('POST', '', realm);
    await startGateway('keycloak', configuration({ gateway, application, origin, internal: keycloak.internal }));
    const visitor = async () => new Visitor(await browser.newContext(), gateway);
    const stage = { browser, gateway, application, keycloak, origin, exchanges, visitor };
    await Promise.all([signIns(stage), refreshes(stage), signOuts(stage)]);
    await outages(stage);
  } finally {
    await keycloak.stop();
  }
});
server.close().closeAllConnections();
