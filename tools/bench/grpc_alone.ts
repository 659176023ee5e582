/**
 * grpc-js without the agent: the health client that the agent uses, on one kept connection, some RPCs
 * under way at once. Prints one JSON line.
 */

import process from "node:process";
import { credentials, Metadata } from "@grpc/grpc-js";
import { HealthClient } from "../../src/check/health_client.ts";

const [port = "", atOnce = "1", seconds = "1"] = Deno.args;
const client = new HealthClient(`127.0.0.1:${port}`, credentials.createInsecure(), {});
const metadata = new Metadata();

const check = () =>
  new Promise<void>((resolve, reject) => {
    const deadline = Date.now() + 1500;
    client.check({ service: "" }, metadata, { deadline }, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });

async function checkFor(milliseconds: number): Promise<number> {
  let checks = 0;
  const end = performance.now() + milliseconds;
  await Promise.all(Array.from({ length: Number(atOnce) }, async () => {
    for (; performance.now() < end; checks++) await check();
  }));
  return checks;
}

await checkFor(500);
const [before, began] = [process.cpuUsage(), performance.now()];
const checks = await checkFor(Number(seconds) * 1000);
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({
  checksPerSecond: checks * 1000 / (performance.now() - began),
  cpuUs: (user + system) / checks,
}));
Deno.exit(0);
