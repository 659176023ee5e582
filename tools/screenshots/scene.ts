import type { AgentProcess } from "../../tests/lab/agent/agent_process.ts";
import {
  type HealthBackend,
  startHealthBackend,
} from "../../tests/lab/backends/libraries/health_backend.ts";
import { CertificateAuthority } from "../../tests/lab/backends/tls/certificates.ts";

/** Services of the backends, so that the page has something to show. */
const SERVICES = {
  "": "SERVING",
  "orders.v1.Orders": "SERVING",
  "stock.v1.Stock": "SERVING",
} as const;

/**
 * Has an agent asked about backends in all states that an operator meets: up, freshly recovered, shaky,
 * draining, dead, frozen, without a name, not allowed, and with TLS that fails.
 *
 * @returns the backends, to be ended after the pictures
 */
export async function startScene(agent: AgentProcess): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const start = async (...args: Parameters<typeof startHealthBackend>) =>
    stack.use(await startHealthBackend(...args));
  const authority = stack.use(await CertificateAuthority.create());
  const [orders, stock, dead, frozen, secure] = [
    await start({ services: { ...SERVICES } }),
    await start({ services: { ...SERVICES } }),
    await start(),
    await start(),
    await start({ tls: await authority.issue("secure.example", { names: ["secure.example"] }) }),
  ];
  const lines = [
    line(orders, "orders.example", "orders.v1.Orders"),
    line(orders, "orders.example"),
    line(stock, "stock.example", "stock.v1.Stock"),
    line(dead, "payments.example"),
    line(frozen, "search.example"),
    secure.line({ authority: "secure.example" }),
    "nowhere.example 50051 no-ssl nowhere.example\n",
    "10.0.0.1 22 no-ssl intranet.example\n",
    "not a request\n",
  ];
  const round = () => Promise.all(lines.map((line) => agent.ask(line)));
  for (let count = 0; count < 25; count++) {
    await stock.setDelay(Math.random() * 12);
    await orders.setDelay(Math.random() * 40);
    await round();
  }
  await dead.kill();
  await frozen.freeze();
  await stock.setStatus("stock.v1.Stock", "NOT_SERVING");
  await orders.setStatus("orders.v1.Orders", "NOT_SERVING");
  await round();
  await orders.setStatus("orders.v1.Orders", "SERVING");
  await round();
  await orders.restart();
  for (let count = 0; count < 2; count++) await round();
  await orders.setError("", 14, "the database is away");
  await agent.ask(line(orders, "orders.example"));
  return stack.move();
}

function line(backend: HealthBackend, authority: string, service?: string): string {
  return backend.line({ authority, ...(service === undefined ? {} : { service }) });
}
