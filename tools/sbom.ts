// Prints what the agent is made of, for who has to know whether a flaw in some package concerns it.

import { billOfMaterials } from "./sbom/bill_of_materials.ts";

console.log(JSON.stringify(billOfMaterials(), null, 2));
