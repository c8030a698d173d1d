/**
 * Runs the command line in a process of its own.
 *
 * @module
 */

import configuration from "../../deno.json" with { type: "json" };

/** What a command printed, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly signal: Deno.Signal | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of {@linkcode startSppo}. */
export interface StartOptions {
  readonly cwd: string;
  /** Largest file it may write, in KiB; sets `ulimit -f`. */
  readonly maxFileKiB?: number;
  /** Runs this module in place of the plain command. */
  readonly main?: URL;
  /** Runs `_crashing_main.ts` with these variables in place of the plain command. */
  readonly crashing?: Readonly<Record<string, string>>;
  /** Runs the task that may reach a hub, with these variables. */
  readonly hub?: Readonly<Record<string, string>>;
}

const MAIN = new URL("../../cli/main.ts", import.meta.url);
const MANY_MAIN = new URL("_many_main.ts", import.meta.url);
const CRASHING_MAIN = new URL("_crashing_main.ts", import.meta.url);
const CONFIG = decodeURIComponent(new URL("../../deno.json", import.meta.url).pathname);

/** The permissions of a task. */
function permissions(task: "sppo" | "sppo:hub"): readonly string[] {
  return configuration.tasks[task].split(" ").filter((word) => word.startsWith("--allow-"));
}

/** The words of a command of `sppo` with the permissions of its task. */
export function wordsOf(
  args: readonly string[],
  options: Omit<StartOptions, "cwd"> = {},
): readonly string[] {
  return [
    Deno.execPath(),
    ...["run", "--quiet", "--no-prompt", "--no-code-cache", "--config", CONFIG],
    // A list of variables would narrow the right to all of them.
    ...permissions(options.hub ? "sppo:hub" : "sppo")
      .filter((right) => !options.crashing || !right.startsWith("--allow-env")),
    ...options.crashing
      ? ["--allow-env", "--allow-run", CRASHING_MAIN.href]
      : [(options.main ?? MAIN).href],
    ...args,
  ];
}

/** Starts `sppo` with the permissions of its task. */
export function startSppo(args: readonly string[], options: StartOptions): Deno.ChildProcess {
  const deno = wordsOf(args, options);
  const [program, ...rest] = options.maxFileKiB === undefined
    ? deno
    : ["bash", "-c", `ulimit -f ${options.maxFileKiB}; exec "$@"`, "bash", ...deno];
  return new Deno.Command(program!, {
    args: rest,
    cwd: options.cwd,
    env: { NO_COLOR: "1", ...options.crashing, ...options.hub },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs several commands one after the other in one process, up to the first that fails. */
export async function sppoMany(
  commands: readonly (readonly string[])[],
  options: StartOptions,
): Promise<Ended> {
  return await ended(startSppo([JSON.stringify(commands)], { ...options, main: MANY_MAIN }));
}

/** Runs `sppo` to its end. */
export async function sppo(args: readonly string[], options: StartOptions): Promise<Ended> {
  return await ended(startSppo(args, options));
}

/** Waits for a process. */
export async function ended(process: Deno.ChildProcess): Promise<Ended> {
  const { code, signal, stdout, stderr } = await process.output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, signal, stdout: decode(stdout), stderr: decode(stderr) };
}

/** All files below a folder by path, those aside whose name is given. */
export async function filesBelow(
  folder: string,
  except: readonly string[] = [],
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  async function walk(path: string): Promise<void> {
    for await (const entry of Deno.readDir(`${folder}/${path}`)) {
      const name = `${path}${entry.name}`;
      if (except.includes(entry.name)) continue;
      if (entry.isDirectory) await walk(`${name}/`);
      else files.set(name, await Deno.readFile(`${folder}/${name}`));
    }
  }
  await walk("");
  return new Map([...files].sort(([a], [b]) => a < b ? -1 : 1));
}

/** Runs a test in a folder of its own. */
export async function inTempFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "sppo-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
