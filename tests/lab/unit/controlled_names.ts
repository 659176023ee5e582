import type { Family } from "../../../src/backend/look_up_turns.ts";
import { type LookUp, NameLookup } from "../../../src/backend/name_lookup.ts";

/** A look-up that has begun, and the means to end it. */
export interface BegunLookUp {
  readonly name: string;
  readonly family: Family;
  readonly end: (found: LookUp) => void;
}

/** Look-ups whose ends the test decides, in the order in which they began. */
export function controlledNames(): { readonly begun: BegunLookUp[]; readonly names: NameLookup } {
  const begun: BegunLookUp[] = [];
  const lookUp = (name: string, family: Family) => {
    const { promise, resolve } = Promise.withResolvers<LookUp>();
    begun.push({ name, family, end: resolve });
    return promise;
  };
  return { begun, names: new NameLookup(lookUp) };
}
