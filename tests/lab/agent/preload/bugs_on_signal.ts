/**
 * A module to be loaded into the agent's process: at SIGUSR2 it throws what nothing catches, and leaves a
 * promise rejected that nobody awaits.
 */
Deno.addSignalListener("SIGUSR2", () => {
  setTimeout(() => {
    throw new Error("thrown in a timer");
  });
  Promise.reject(new Error("rejected"));
});
