import { getHaproxy, haproxyVersion } from "../lab/haproxy/find_haproxy.ts";
import { Haproxy } from "../lab/haproxy/haproxy.ts";
import { HAPROXY_SERIES, type HaproxySeries } from "../lab/haproxy/haproxy_packages.ts";

/** Starts the HAProxy that a test is about with this configuration; the test disposes of it. */
export type StartHaproxy = (configuration: string) => Promise<Haproxy>;

/**
 * Defines one test for each HAProxy series, or for some.
 *
 * Where a series cannot be had its test is ignored and the reason printed once; with `CI` set in the
 * environment it fails instead. `HAPROXY_PROGRAM` in the environment names an executable, of whatever
 * version, that takes the place of all series.
 *
 * @param name what holds
 * @param test is given the path of the executable, too
 */
export function testWithEachHaproxy(
  name: string,
  test: (start: StartHaproxy, executable: string) => Promise<void>,
  wanted: readonly HaproxySeries[] = HAPROXY_SERIES,
): void {
  for (const { series, executable, missing } of HAPROXIES) {
    if (PROGRAM === undefined && !wanted.some((one) => one === series)) continue;
    Deno.test({
      name: `HAProxy ${series}: ${name}`,
      ignore: executable === undefined && !Deno.env.get("CI"),
      fn: async () => {
        if (executable === undefined) throw new Error(missing);
        await test((configuration) => Haproxy.start(executable, configuration), executable);
      },
    });
  }
}

/** An HAProxy to test with, or why there is none. */
interface Candidate {
  series: string;
  executable: string | undefined;
  missing: string;
}

const PROGRAM = Deno.env.get("HAPROXY_PROGRAM");

const HAPROXIES: Candidate[] = PROGRAM === undefined
  ? await Array.fromAsync(HAPROXY_SERIES, ofSeries)
  : [await named(PROGRAM)];

async function named(executable: string): Promise<Candidate> {
  const series = await haproxyVersion(executable);
  if (series === undefined) throw new Error(`HAPROXY_PROGRAM=${executable} is no HAProxy`);
  return { series, executable, missing: "" };
}

async function ofSeries(series: HaproxySeries): Promise<Candidate> {
  try {
    return { series, executable: await getHaproxy(series), missing: "" };
  } catch (error) {
    const missing = (error as Error).message;
    console.warn(`Tests with HAProxy ${series} cannot run: ${missing}`);
    return { series, executable: undefined, missing };
  }
}
