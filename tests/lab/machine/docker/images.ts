import { getHaproxy } from "../../haproxy/find_haproxy.ts";
import { ROOT } from "../../testing/repository.ts";
import { TempDirectory } from "../../testing/temp_directory.ts";
import { testThatNeeds } from "../../testing/test_that_needs.ts";
import { makeDebianImage } from "./debian_image.ts";
import { DockerEngine, dockerProblem, TEST_LABEL } from "./docker_engine.ts";

/** Which bases the Dockerfile is to take, by its build arguments. */
export type Bases = Record<"BUILD_IMAGE" | "RUN_IMAGE" | "BUNDLE_RUN_IMAGE" | "CA_IMAGE", string>;

/** Where a machine's own CAs stand, on Debian and in its images. */
const CA_FILE = "/etc/ssl/certs/ca-certificates.crt";
const DEBIAN = "haproxy-grpc-agent-test/debian";
const DENO = "haproxy-grpc-agent-test/deno";
const HAPROXY = "haproxy-grpc-agent-test/haproxy";
/** The agent's image. */
export const AGENT = "haproxy-grpc-agent-test/agent";

/** A test with a Docker engine; see {@linkcode testThatNeeds}. */
export function testWithDocker(name: string, test: (engine: DockerEngine) => Promise<void>): void {
  const missing = dockerProblem("debootstrap", "docker-compose");
  testThatNeeds({ missing }, name, async () => {
    await using engine = await DockerEngine.find();
    await test(engine);
  });
}

/** Makes stand-ins for the public images on which the Dockerfile builds, of Debian and this Deno. */
export async function makeBases(engine: DockerEngine): Promise<Bases> {
  await makeDebianImage(engine, DEBIAN, { suite: "bookworm" });
  await using context = await TempDirectory.create();
  await Deno.copyFile(Deno.execPath(), `${context.path}/deno`);
  // A machine behind a proxy that opens TLS has its CA among its own.
  await Deno.copyFile(CA_FILE, `${context.path}/ca.crt`);
  await context.write(
    "Dockerfile",
    `FROM ${DEBIAN}
COPY deno /usr/bin/deno
COPY ca.crt ${CA_FILE}
ENV DENO_DIR=/deno-dir DENO_TLS_CA_STORE=system
`,
  );
  await engine.docker(["build", "--tag", DENO, context.path]);
  return { BUILD_IMAGE: DENO, RUN_IMAGE: DEBIAN, BUNDLE_RUN_IMAGE: DEBIAN, CA_IMAGE: DENO };
}

/** Builds {@linkcode AGENT} of the sources as they are: the target that downloads no runtime. */
export async function buildAgent(engine: DockerEngine): Promise<void> {
  const bases = await makeBases(engine);
  await engine.docker([
    // Only this network reaches npm on every machine.
    ...["build", "--network", "host", "--file", "deploy/docker/Dockerfile", "--target", "bundle"],
    ...["--label", `${TEST_LABEL}=1`, "--tag", AGENT],
    ...Object.entries(bases).flatMap(([name, image]) => ["--build-arg", `${name}=${image}`]),
    ROOT,
  ]);
}

/** Makes a stand-in for the public image of HAProxy 3.2. @returns its name */
export async function makeHaproxyImage(engine: DockerEngine): Promise<string> {
  await makeDebianImage(engine, DEBIAN, { suite: "bookworm" });
  const folder = (await getHaproxy("3.2")).replace(/\/haproxy$/, "");
  await using context = await TempDirectory.create();
  const { success } = await new Deno.Command("cp", {
    args: ["--recursive", folder, `${context.path}/haproxy`],
  }).output();
  if (!success) throw new Error(`${folder} cannot be copied`);
  await context.write(
    "Dockerfile",
    `FROM ${DEBIAN}
COPY haproxy /opt/haproxy
USER 99:99
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/opt/haproxy/haproxy"]
CMD ["-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
`,
  );
  await engine.docker(["build", "--tag", HAPROXY, context.path]);
  return HAPROXY;
}
