import project from "../../deno.json" with { type: "json" };

type PermissionSet = typeof project.permissions.agent;

/** V8's flags, as `deno task start` has them. */
export const V8_FLAGS = flagOfStart("--v8-flags=");

/**
 * Gives the arguments with which `deno` runs the bundle: the flags and permissions of deno.json, and
 * nothing that is looked for beside the bundle or fetched.
 *
 * @param write the folders that it may write to. @default {those of deno.json}
 */
export function runArguments(write: readonly string[] = project.permissions.agent.write): string[] {
  return [
    ...["run", "--quiet", "--no-config", "--cached-only", "--no-prompt"],
    V8_FLAGS,
    ...permissionFlags({ ...project.permissions.agent, write: [...write] }),
  ];
}

function permissionFlags({ read, env, write }: PermissionSet): string[] {
  return [
    "--allow-net",
    "--allow-read",
    `--deny-read=${read.deny.join(",")}`,
    "--ignore-env",
    `--allow-env=${env.allow.join(",")}`,
    ...write.length === 0 ? [] : [`--allow-write=${write.join(",")}`],
  ];
}

function flagOfStart(name: string): string {
  const flag = project.tasks.start.command.split(" ").find((word) => word.startsWith(name));
  if (flag === undefined) throw new Error(`deno.json's task start has no ${name}`);
  return flag;
}
