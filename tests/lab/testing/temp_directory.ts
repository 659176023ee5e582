/** A directory of one test; it goes with its owner. */
export class TempDirectory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** @param parent where it is made; by default in the system's directory for such */
  static async create(parent?: string): Promise<TempDirectory> {
    const place = parent === undefined ? {} : { dir: parent };
    return new TempDirectory(await Deno.makeTempDir({ prefix: "agent-test-", ...place }));
  }

  /** Writes a file, in place of one of that name. @returns its path */
  async write(name: string, text: string): Promise<string> {
    const path = `${this.path}/${name}`;
    await Deno.writeTextFile(path, text);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
