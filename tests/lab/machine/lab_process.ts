import { within } from "../testing/eventually.ts";
import { ROOT } from "../testing/repository.ts";
import { LineLog } from "./line_log.ts";

/** What to start, and with what around it. */
export interface LabProcessOptions {
  /** Arguments after the program. @default {[]} */
  args?: string[];
  /** Variables added to this process' environment. @default {{}} */
  env?: Record<string, string>;
  /** Variables of this process' environment that are not passed on. @default {[]} */
  withoutEnv?: string[];
}

/**
 * A child process of a test, started in the repository's root, whose output is read line by line. It never
 * outlives its owner.
 */
export class LabProcess implements AsyncDisposable {
  readonly stdout: LineLog;
  readonly stderr: LineLog;
  /** Settles when the process is gone and its output is read to the end. */
  readonly exited: Promise<Deno.CommandStatus>;
  #child: Deno.ChildProcess;
  #stdin: WritableStreamDefaultWriter<Uint8Array>;
  #running = true;

  constructor(program: string, options: LabProcessOptions = {}) {
    const env = Deno.env.toObject();
    for (const name of options.withoutEnv ?? []) delete env[name];
    // Without it Deno looks for a newer version of itself: traffic and descriptors that no test expects.
    Object.assign(env, { DENO_NO_UPDATE_CHECK: "1" }, options.env);
    this.#child = new Deno.Command(program, {
      args: options.args ?? [],
      env,
      clearEnv: true,
      cwd: ROOT,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.stdout = new LineLog(this.#child.stdout);
    this.stderr = new LineLog(this.#child.stderr);
    this.exited = this.#end();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether the process has not been seen to end. */
  get running(): boolean {
    return this.#running;
  }

  /** Writes one line to the standard input; nothing happens when the process is gone. */
  async writeLine(line: string): Promise<void> {
    try {
      await this.#stdin.write(new TextEncoder().encode(line + "\n"));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  }

  /** Sends a signal; nothing happens when the process is gone. */
  signal(signal: Deno.Signal): void {
    try {
      if (this.#running) this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has just ended
    }
  }

  /**
   * Asks the process to end, and kills it when it does not.
   *
   * @param graceMs milliseconds between SIGTERM and SIGKILL; with 0 it is killed at once
   */
  async stop(graceMs = 5000): Promise<Deno.CommandStatus> {
    if (this.#running && graceMs > 0) {
      this.signal("SIGTERM");
      await within("the end of the process", graceMs, this.exited).catch(() => {});
    }
    this.signal("SIGKILL");
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(): Promise<Deno.CommandStatus> {
    const status = await this.#child.status;
    this.#running = false;
    await this.#stdin.close().catch(() => {});
    await Promise.all([this.stdout.ended, this.stderr.ended]);
    return status;
  }
}
