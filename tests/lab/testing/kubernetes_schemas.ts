import { ROOT } from "./repository.ts";
import { TempDirectory } from "./temp_directory.ts";

/** A Kubernetes object as it stands in a manifest. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
}

/**
 * Where the schemas are. They have a lock file of their own: in the project's, everybody who starts the
 * agent from source would download them.
 */
const LOCK = `${ROOT}tests/lab/testing/kubernetes_schemas.lock`;

/** The packages with the schemas, by the group of the API; "" stands for all groups of Kubernetes' own. */
const PACKAGES: Readonly<Record<string, string>> = {
  "": "npm:kubernetes-models@5.1.0",
  "monitoring.coreos.com": "npm:@kubernetes-models/prometheus-operator@6.0.0",
};

/**
 * Judges objects by Kubernetes' published schemas: as values (patterns, bounds, what is required), and as
 * literals of their TypeScript types, which know every field, so that a misspelt one is found as well.
 *
 * @returns what is wrong; "" when nothing is
 */
export async function schemaMistakes(objects: readonly KubernetesObject[]): Promise<string> {
  const judge = objects.map((object, index) => {
    const { apiVersion, kind } = object;
    const [group = ""] = apiVersion.split("/");
    const schema = `${PACKAGES[group] ?? PACKAGES[""]}/${apiVersion}/${kind}`;
    return `import { ${kind} as Model${index}, type I${kind} as Type${index} } from "${schema}";
const object${index}: Type${index} = ${JSON.stringify(object, null, 2)};
new Model${index}(object${index}).validate();
`;
  });
  await using directory = await TempDirectory.create();
  const program = await directory.write("judge.ts", judge.join("\n"));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--check", "--no-config", `--lock=${LOCK}`, "--frozen", program],
    env: { NO_COLOR: "1" },
  }).output();
  return success ? "" : new TextDecoder().decode(stderr);
}
