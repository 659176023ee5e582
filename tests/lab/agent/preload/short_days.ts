/** A module to be loaded into the agent's process: what it does once a day it does every half a second. */
const DAY_MS = 24 * 60 * 60 * 1000;
const SHORT_DAY_MS = 500;

const trueInterval = globalThis.setInterval;
globalThis.setInterval =
  ((callback: () => void, ms?: number) =>
    trueInterval(callback, ms === DAY_MS ? SHORT_DAY_MS : ms)) as typeof setInterval;
