import type { Family } from "../../../src/backend/look_up_queue.ts";
import { type LookUpResult, NameLookUp } from "../../../src/backend/name_look_up.ts";

/** A look-up that has begun, and the means to end it. */
export interface BegunLookUp {
  readonly name: string;
  readonly family: Family;
  readonly end: (found: LookUpResult) => void;
}

/** Look-ups whose ends the test decides, in the order in which they began. */
export function controlledNames(): { readonly begun: BegunLookUp[]; readonly names: NameLookUp } {
  const begun: BegunLookUp[] = [];
  const lookUp = (name: string, family: Family) => {
    const { promise, resolve } = Promise.withResolvers<LookUpResult>();
    begun.push({ name, family, end: resolve });
    return promise;
  };
  return { begun, names: new NameLookUp(lookUp) };
}
