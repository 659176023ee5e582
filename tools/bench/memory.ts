/** Resident memory of a process, in megabytes of 2^20 bytes. */
export interface Memory {
  /** VmRSS. */
  readonly resident: number;
  /** VmHWM, the most that it was. */
  readonly peak: number;
  /** RssAnon: its own. */
  readonly anonymous: number;
  /** RssFile: of files, the program's text above all; the kernel can take it back. */
  readonly file: number;
}

/** Reads it from /proc. */
export function memoryOf(pid: number): Memory {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const megabytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  return {
    resident: megabytes("VmRSS"),
    peak: megabytes("VmHWM"),
    anonymous: megabytes("RssAnon"),
    file: megabytes("RssFile"),
  };
}
