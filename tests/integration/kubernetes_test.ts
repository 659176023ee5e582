import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { parseAllDocuments } from "yaml";
import { runAgent } from "../lab/agent/run_agent.ts";
import { withAgent } from "../lab/agent/with_agent.ts";
import { type KubernetesObject, schemaMistakes } from "../lab/testing/kubernetes_schemas.ts";
import { ROOT } from "../lab/testing/repository.ts";
import { TempDirectory } from "../lab/testing/temp_directory.ts";

const FOLDER = `${ROOT}deploy/kubernetes/`;

/** The members of a manifest that these tests look at. */
interface Manifest extends KubernetesObject {
  readonly metadata: { readonly name: string; readonly labels: Labels };
  // deno-lint-ignore no-explicit-any -- whether it is what it should be is the schemas' matter
  readonly spec: any;
  readonly data: Readonly<Record<string, string>>;
}

type Labels = Readonly<Record<string, string>>;

interface Port {
  readonly name: string;
  readonly containerPort: number;
}

const manifests: readonly Manifest[] = [...Deno.readDirSync(FOLDER)]
  .filter(({ name }) => name.endsWith(".yaml"))
  .flatMap(({ name }) => parseAllDocuments(Deno.readTextFileSync(FOLDER + name)))
  .map((document) => document.toJS());

function ofKind(kind: string): Manifest[] {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  assert.ok(found.length > 0, `There is no ${kind}`);
  return found;
}

const workloads = [...ofKind("Deployment"), ...ofKind("DaemonSet")];

/** The configuration that a pod gets, as a file. */
async function configurationFile(directory: TempDirectory): Promise<string> {
  const [configuration] = ofKind("ConfigMap");
  return await directory.write("agent.toml", configuration?.data["agent.toml"] ?? "");
}

Deno.test("Kubernetes' schemas know every field of the manifests", async () => {
  assert.equal(await schemaMistakes(manifests), "");
});

Deno.test("the agent takes the ConfigMap's configuration, and serves on the containers' ports", async () => {
  await using directory = await TempDirectory.create();
  const config = await configurationFile(directory);
  const { code, stdout, stderr } = await runAgent(["--check-config", "--config", config]);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: [] });
  const settings = parseToml(stdout.join("\n"));
  for (const { spec: { template: { spec: pod } } } of workloads) {
    const [{ ports, args }] = pod.containers;
    const served = { agent: settings.server_port, metrics: settings.metrics_port };
    assert.deepEqual(
      Object.fromEntries(ports.map(({ name, containerPort }: Port) => [name, containerPort])),
      served,
    );
    const [{ mountPath }] = pod.containers[0].volumeMounts;
    assert.deepEqual(args, ["--config", `${mountPath}/agent.toml`]);
    assert.ok(pod.terminationGracePeriodSeconds * 1000 > Number(settings.shutdown_timeout_ms));
  }
});

Deno.test("the probes ask for what the agent answers", async () => {
  await using directory = await TempDirectory.create();
  const config = await configurationFile(directory);
  await withAgent({ flags: ["--config", config] }, async (agent) => {
    for (const { spec } of workloads) {
      const [{ livenessProbe, readinessProbe }] = spec.template.spec.containers;
      for (const { httpGet } of [livenessProbe, readinessProbe]) {
        assert.equal(httpGet.port, "metrics");
        assert.equal((await agent.get(httpGet.path)).status, 200, httpGet.path);
      }
      assert.equal(livenessProbe.httpGet.path, "/healthz");
      assert.equal(readinessProbe.httpGet.path, "/readyz", "It turns 503 when the agent stops");
    }
    const [{ path }] = ofKind("PodMonitor")[0]?.spec.podMetricsEndpoints;
    assert.match((await agent.get(path)).body, /^check_requests_total/m);
  });
});

Deno.test("the manifests name each other and their ports rightly", async () => {
  const [configuration] = ofKind("ConfigMap");
  for (const { metadata, spec } of workloads) {
    const { labels } = spec.template.metadata as { labels: Labels };
    const [{ ports }] = spec.template.spec.containers as [{ ports: Port[] }];
    const named = ports.map(({ name }) => name);
    const isOfPod = (selector: Labels) => {
      for (const [key, value] of Object.entries(selector)) assert.equal(labels[key], value, key);
    };
    isOfPod(spec.selector.matchLabels);
    assert.deepEqual(spec.template.spec.volumes, [
      { name: "config", configMap: { name: configuration?.metadata.name } },
    ]);
    for (const service of ofKind("Service")) {
      isOfPod(service.spec.selector);
      assert.equal(service.metadata.name, metadata.name);
      for (const { targetPort } of service.spec.ports) assert.ok(named.includes(targetPort));
    }
    for (const policy of ofKind("NetworkPolicy")) {
      isOfPod(policy.spec.podSelector.matchLabels);
      const ingress = policy.spec.ingress.flatMap((rule: { ports: { port: string }[] }) =>
        rule.ports.map(({ port }) => port)
      );
      assert.deepEqual(ingress.toSorted(), named.toSorted());
    }
    for (const monitor of ofKind("PodMonitor")) {
      isOfPod(monitor.spec.selector.matchLabels);
      assert.ok(named.includes(monitor.spec.podMetricsEndpoints[0].port));
      const alerts = await Deno.readTextFile(`${ROOT}deploy/monitoring/alerts.yml`);
      assert.ok(alerts.includes(`job="${labels[monitor.spec.jobLabel]}"`));
    }
  }
});

Deno.test("a pod has no more rights than the agent needs", () => {
  for (const { spec: { template: { spec: pod } } } of workloads) {
    const { runAsNonRoot, runAsUser, seccompProfile } = pod.securityContext;
    assert.deepEqual({ runAsNonRoot, runAsUser, seccomp: seccompProfile.type }, {
      runAsNonRoot: true,
      runAsUser: 65532,
      seccomp: "RuntimeDefault",
    });
    assert.equal(pod.automountServiceAccountToken, false);
    assert.deepEqual(pod.containers[0].securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  }
});
