/** One entry of a list, or why it is wrong: the end of a sentence that begins with the entry. */
export type ParsedEntry<Rule> =
  | { readonly ok: true; readonly rule: Rule }
  | { readonly ok: false; readonly reason: string };

/** All entries of a list, or one sentence per wrong entry. */
export type ParsedEntries<Rule> =
  | { readonly ok: true; readonly rules: readonly Rule[] }
  | { readonly ok: false; readonly mistakes: readonly string[] };

/** Reads every entry of a list, so that all mistakes come at once. */
export function parseEntries<Rule>(
  texts: readonly string[],
  parse: (text: string) => ParsedEntry<Rule>,
): ParsedEntries<Rule> {
  const rules: Rule[] = [];
  const mistakes: string[] = [];
  for (const text of texts) {
    const entry = parse(text);
    if (entry.ok) rules.push(entry.rule);
    else mistakes.push(`${JSON.stringify(text)} ${entry.reason}`);
  }
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, rules };
}
