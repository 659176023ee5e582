import { OTHER_FLAGS } from "../../src/config/command_line.ts";
import { type Setting, SETTING_ROWS } from "../../src/config/settings.ts";

const COMMANDS = {
  check: "one check by hand",
  ready: "ask whether the running agent takes checks",
};

/** A flag, as the shells' completion sees it. */
interface Flag {
  readonly flag: string;
  readonly short?: string;
  readonly help: string;
  /** What may follow it: nothing, words to choose from, a file, or anything. */
  readonly value: "none" | "file" | "any" | readonly string[];
  /** Whether it may stand alone all the same. */
  readonly optional: boolean;
}

function flags(): Flag[] {
  const others = Object.entries(OTHER_FLAGS).map(([flag, other]): Flag => ({
    flag,
    ...("short" in other ? { short: other.short } : {}),
    help: other.help,
    value: "placeholder" in other ? "file" : "none",
    optional: false,
  }));
  return [...SETTING_ROWS.map(settingFlag), ...others];
}

function settingFlag({ flag, kind, help }: Setting<unknown>): Flag {
  const { placeholder, isSwitch } = kind;
  const value = placeholder === "FILE"
    ? "file"
    : placeholder.includes("|")
    ? placeholder.split("|")
    : "any";
  return { flag, help, value, optional: isSwitch === true };
}

/** @returns completion for bash, as bash-completion loads it by the program's name */
export function bashCompletion(): string {
  const all = flags();
  const named = ({ flag, short }: Flag) =>
    [`--${flag}`, ...short === undefined ? [] : [`-${short}`]].join("|");
  const files = all.filter(({ value }) => value === "file");
  const free = all.filter(({ value }) => value === "any");
  const choices = all.filter(({ value }) => Array.isArray(value));
  const cases = choices.map((flag) =>
    `    ${named(flag)}) COMPREPLY=($(compgen -W '${
      [flag.value].flat().join(" ")
    }' -- "$current")); return ;;`
  );
  const words = all.map(({ flag }) => `--${flag}`).join(" ");
  return `# bash completion for haproxy-grpc-agent; made by deno task package from the table of settings
_haproxy_grpc_agent() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} word=1
  COMPREPLY=()
  case $previous in
    ${files.map(named).join("|")})
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    ${free.map(named).join("|")}) return ;;
${cases.join("\n")}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W '${words}' -- "$current"))
    return
  fi
  while [[ $word -lt $COMP_CWORD && \${COMP_WORDS[word]} == -* ]]; do word=$((word + 1)); done
  if [[ $word -eq $COMP_CWORD ]]; then
    COMPREPLY=($(compgen -W '${Object.keys(COMMANDS).join(" ")}' -- "$current"))
  elif [[ \${COMP_WORDS[word]} == check && $COMP_CWORD -eq $((word + 3)) ]]; then
    COMPREPLY=($(compgen -W 'ssl no-ssl' -- "$current"))
  fi
}
complete -F _haproxy_grpc_agent haproxy-grpc-agent
`;
}

/** @returns completion for zsh, a function that its compinit finds by the file's name */
export function zshCompletion(): string {
  const specs = flags().map(({ flag, short, help, value, optional }) => {
    const told = quote(`[${help.replace(/[[\]:\\]/g, "\\$&")}]`);
    const colons = optional ? "::" : ":";
    const action = value === "none"
      ? ""
      : value === "file"
      ? `${colons}file:_files`
      : value === "any"
      ? `${colons}value:`
      : `${colons}value:(${value.join(" ")})`;
    const names = short === undefined
      ? quote(`--${flag}`)
      : `{${quote(`-${short}`)},${quote(`--${flag}`)}}`;
    return `    ${names}${told}${action === "" ? "" : quote(action)}`;
  });
  const commands = Object.entries(COMMANDS).map(([name, help]) => quote(`${name}:${help}`));
  return `#compdef haproxy-grpc-agent
# zsh completion for haproxy-grpc-agent; made by deno task package from the table of settings
_haproxy-grpc-agent() {
  local -a options commands
  options=(
${specs.join("\n")}
  )
  commands=(${commands.join(" ")})
  _arguments -s $options \\
    '1: :{_describe command commands}' \\
    '2:backend server:_hosts' '3:backend port:' '4: :(ssl no-ssl)' '5:authority:_hosts' '*:option:'
}
_haproxy-grpc-agent "$@"
`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
