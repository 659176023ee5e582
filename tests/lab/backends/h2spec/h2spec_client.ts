/**
 * What h2spec runs for each case: has an agent that runs already check the server of a URL, so that the
 * connection is kept when the check is over, as in production, and the server may go on with its case.
 */

import { LineClient } from "../../clients/line_client.ts";

const [agentPort, url = ""] = Deno.args;
const { hostname, port } = new URL(url);
using client = await LineClient.open(Number(agentPort));
await client.ask(`${hostname} ${port} no-ssl h2spec.test\n`);
