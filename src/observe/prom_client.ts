/**
 * prom-client by the files that the agent needs: its main module loads Node's cluster, HTTP and performance
 * hooks as well, 2 MB of memory for default metrics that nobody shows here.
 */

import type * as prom from "prom-client";
import counter from "prom-client/lib/counter.js";
import gauge from "prom-client/lib/gauge.js";
import histogram from "prom-client/lib/histogram.js";
import registry from "prom-client/lib/registry.js";

export type Counter<Label extends string = string> = prom.Counter<Label>;
export type Gauge<Label extends string = string> = prom.Gauge<Label>;
export type Registry = prom.Registry;

export const Counter: typeof prom.Counter = counter;
export const Gauge: typeof prom.Gauge = gauge;
export const Histogram: typeof prom.Histogram = histogram;
export const Registry: typeof prom.Registry = registry;
