/** A module to be loaded into the agent's process: what is done once a day is then done every half second. */
const DAY_MS = 24 * 60 * 60 * 1000;
const SHORT_DAY_MS = 500;

const trueInterval = globalThis.setInterval;
globalThis.setInterval =
  ((callback: () => void, ms?: number) =>
    trueInterval(callback, ms === DAY_MS ? SHORT_DAY_MS : ms)) as typeof setInterval;
