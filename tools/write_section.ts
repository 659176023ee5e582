/**
 * Puts what a tool has measured between `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a document, in
 * place of what stood there.
 *
 * @throws {Error} when the document has no such place
 */
export async function writeSection(path: string, name: string, content: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${path} has no place for ${name}`);
  const section = `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`;
  await writeFormatted(path, section);
}

/** Writes a document or a plot as `deno fmt` has it. */
export async function writeFormatted(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] }).output();
}
