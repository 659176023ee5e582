// Takes the pictures of the status page for the documents: `deno task screenshots`.

import { startAgent } from "../tests/lab/agent/agent_process.ts";
import { startBrowser } from "../tests/lab/clients/browser.ts";
import { ROOT } from "../tests/lab/testing/repository.ts";
import { startScene } from "./screenshots/scene.ts";

const FOLDER = `${ROOT}docs/images/`;

const SIZES = { wide: { width: 1080, height: 720 }, narrow: { width: 400, height: 720 } };

const FLAGS = [
  ...["--not-serving-reply", "drain", "--fall", "3"],
  ...["--allow-backends", "127.0.0.0/8, *.example"],
];

await Deno.mkdir(FOLDER, { recursive: true });
await using agent = await startAgent({ flags: FLAGS });
await using _scene = await startScene(agent);
const browser = await startBrowser();
for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await browser.newPage({ viewport, colorScheme });
    await page.goto(`http://127.0.0.1:${agent.metricsPort}/`);
    const path = `${FOLDER}status-${size}-${colorScheme}.png`;
    await page.screenshot({ path, fullPage: size === "wide" });
    console.log(`${path} (${Math.round(Deno.statSync(path).size / 1024)} kB)`);
    await page.close();
  }
}
await browser.close();
