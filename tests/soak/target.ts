import { Timeline } from "./timeline.ts";

/** One thing that the agent is asked about: a service of a backend, or its server as a whole. */
export class Target {
  /** True from the moment of its making on. */
  readonly timeline = new Timeline("up", performance.now());
  /** The name of the backend. */
  readonly backend: string;
  /** "" for the server as a whole. */
  readonly service: string;
  /** What to ask, without the line end; any of them means the same. */
  readonly lines: readonly [string, ...string[]];
  /** Whether it is asked in bursts, with pauses in which its channel becomes idle. */
  readonly rare: boolean;

  constructor(
    backend: string,
    lines: readonly [string, ...string[]],
    { service = "", rare = false }: { service?: string; rare?: boolean } = {},
  ) {
    this.backend = backend;
    this.service = service;
    this.lines = lines;
    this.rare = rare;
  }

  /** For people. */
  get name(): string {
    return this.service === "" ? this.backend : `${this.backend} ${this.service}`;
  }
}
