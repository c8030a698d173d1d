/**
 * What the peers need, installed outside the repository: a Python environment and npm packages. What is
 * there already in the right version stays.
 *
 * @module
 */

import { say } from "./_options.ts";
import { type PeerComparison, type PeerPlaces, pythonOf, type PythonPackage } from "./_plan.ts";

const REQUIREMENTS = new URL("../../tests/parity/requirements.txt", import.meta.url);

/** `name==version` of each line. */
export function parseRequirements(text: string): PythonPackage[] {
  return text.split("\n").filter((line) => /^\w/.test(line)).map((line) => {
    const [name, version] = line.trim().split("==") as [string, string];
    return { name, version };
  });
}

/** Python packages of some comparisons. */
async function pythonPackages(comparisons: readonly PeerComparison[]): Promise<PythonPackage[]> {
  const all = parseRequirements(await Deno.readTextFile(REQUIREMENTS));
  const wanted = all.filter(({ name }) =>
    comparisons.some(({ python }) => python === "all" || python.includes(name))
  );
  const built = comparisons.flatMap(({ built }) => built ?? []);
  return [...wanted, ...built];
}

/** Runs a program to its end, what it prints on standard error. */
async function runProgram(program: string, ...args: readonly string[]): Promise<void> {
  say(`$ ${program} ${args.join(" ")}`);
  const process = new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  await process.stdout.pipeTo(Deno.stderr.writable, { preventClose: true });
  const { code } = await process.status;
  if (code !== 0) {
    throw new Error(`Cannot install the peers as ${program} must succeed: it ended with ${code}`);
  }
}

/** Names of packages that a Python lacks in their version. */
async function missingPackages(
  python: string,
  packages: readonly PythonPackage[],
): Promise<readonly PythonPackage[]> {
  const script = "import importlib.metadata as m, json, sys\n" +
    "print(json.dumps({d.metadata['Name'].lower().replace('_', '-'): d.version " +
    "for d in m.distributions()}))";
  const { stdout, code } = await new Deno.Command(python, { args: ["-c", script] }).output();
  if (code !== 0) throw new Error(`Cannot install the peers as ${python} must run: code ${code}`);
  const versions = JSON.parse(new TextDecoder().decode(stdout)) as Record<string, string>;
  return packages.filter(({ name, version }) => versions[name] !== version);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function installPython(
  venv: string,
  python: string,
  packages: readonly PythonPackage[],
): Promise<void> {
  if (packages.length === 0) return;
  const own = pythonOf(venv);
  if (!await exists(own)) await runProgram(python, "-m", "venv", venv);
  const missing = await missingPackages(own, packages);
  const text = ({ name, version }: PythonPackage) => `${name}==${version}`;
  const ready = missing.filter(({ built }) => !built).map(text);
  if (ready.length > 0) await runProgram(own, "-m", "pip", "install", "--quiet", ...ready);
  for (const one of missing.filter(({ built }) => built)) {
    const source = ["--no-binary", one.name, text(one)];
    await runProgram(own, "-m", "pip", "install", "--quiet", ...source);
  }
}

async function installNpm(folder: string, specifier: string): Promise<void> {
  const [name, version] = specifier.split("@") as [string, string];
  const manifest = `${folder}/node_modules/${name}/package.json`;
  if (await exists(manifest)) {
    const installed = JSON.parse(await Deno.readTextFile(manifest)) as { readonly version: string };
    if (installed.version === version) return;
  }
  await Deno.mkdir(folder, { recursive: true });
  await runProgram("npm", "install", "--no-audit", "--no-fund", "--prefix", folder, specifier);
}

/**
 * Installs what some comparisons need.
 *
 * @param python Makes the environment where there is none.
 * @throws {Error} When a program fails.
 */
export async function installPeers(
  comparisons: readonly PeerComparison[],
  { venv, npm, made }: PeerPlaces,
  python: string,
): Promise<void> {
  await Deno.mkdir(made, { recursive: true });
  await installPython(venv, python, await pythonPackages(comparisons));
  for (const { npm: specifier } of comparisons) {
    if (specifier !== undefined) await installNpm(npm, specifier);
  }
}
