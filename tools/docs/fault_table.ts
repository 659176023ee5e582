import {
  CONNECTION_FAULTS,
  type Fault,
  HTTP2_FAULTS,
} from "../../tests/lab/backends/peers/faulty_peers.ts";

/** @returns a Markdown table of the backends that the fault suite tries, and what a check of each comes to */
export function faultTable(): string {
  const rows = [...CONNECTION_FAULTS, ...HTTP2_FAULTS].map(({ name, outcome }: Fault) => {
    const isWord = outcome === "up" || outcome === "down";
    return `| ${name} | ${isWord ? "" : "`down`, "}\`${outcome}\` |`;
  });
  return ["| a backend that | is |", "| --- | --- |", ...rows].join("\n");
}
