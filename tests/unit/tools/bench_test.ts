import assert from "node:assert/strict";
import type { Figures } from "../../../tools/bench/compare.ts";
import { targetAddress } from "../../../tools/bench/load.ts";
import { plotGrowth } from "../../../tools/bench/plot.ts";
import { GROUPS, isSelected, selectRows } from "../../../tools/bench/rows.ts";
import { besideKinds } from "../../../tools/bench/subjects.ts";

const ROWS = GROUPS.flat();

function figures(subject: string): Figures[] {
  return ROWS.map(({ name }) => ({
    ...{ row: name, subject, title: `the ${subject}`, checksPerSecond: 1000, p50: 1, p99: 2 },
    ...{ cpuUs: 100, cpuUsRange: [90, 110] as const, overFloor: 1, generatorCores: 0.5 },
    memory: { resident: 40, peak: 50 },
  }));
}

Deno.test("every row of the benchmark can be named, and no two alike", () => {
  assert.equal(new Set(ROWS.map(({ name }) => name)).size, ROWS.length);
  for (const { name } of ROWS) assert.deepEqual(selectRows(GROUPS, [name]).flat().length, 1);
});

Deno.test("selectRows() names the rows that there are when asked for another", () => {
  assert.throws(() => selectRows(GROUPS, ["fresh-17/rpc"]), /no such row; there are fresh-1,/);
});

Deno.test("a subject is measured where its row was asked for, with its name or without one", () => {
  assert.equal(isSelected("fresh-16", "rpc", []), true);
  assert.equal(isSelected("fresh-16", "rpc", ["fresh-16"]), true);
  assert.equal(isSelected("fresh-16", "rpc", ["fresh-16/rpc"]), true);
  assert.equal(isSelected("fresh-16", "rpc", ["fresh-16/shared"]), false);
  assert.equal(isSelected("fresh-16", "rpc", ["kept-16", "fresh-1"]), false);
});

Deno.test("targets are addresses of loopback, each its own", () => {
  const addresses = Array.from({ length: 70_000 }, (_, index) => targetAddress(index));
  assert.deepEqual(
    [0, 254, 255, 65_535].map((index) => addresses[index]),
    ["127.1.0.1", "127.1.0.255", "127.1.1.0", "127.2.0.0"],
  );
  assert.equal(new Set(addresses).size, addresses.length);
});

Deno.test("--beside wants a name and a command", () => {
  const kinds = besideKinds("other=/opt/other --flag a=b");
  assert.deepEqual(kinds.map(({ name }) => name), ["other", "other-default"]);
  for (const wrong of ["other", "=command", "other="]) {
    assert.throws(() => besideKinds(wrong), /NAME=COMMAND is wanted/);
  }
});

Deno.test("the plot has a line for each subject in each half, and is not drawn of a part", () => {
  const all = [...figures("floor"), ...figures("rpc"), ...figures("other")];
  const plot = plotGrowth(all) ?? "";
  for (const subject of ["floor", "rpc", "other"]) {
    assert.equal(plot.split(`<path class="${subject}"`).length - 1, 2, subject);
  }
  assert.equal(plotGrowth(all.filter(({ row }) => row !== "targets-100")), undefined);
});
