/**
 * The command line, killed in the midst of a change to a file. `SPPO_CRASH_AT` is a change such as
 * `write out/run.json.tmp`: the first such write writes half of its bytes, the first such `rename` (of
 * what is renamed to the path) or `remove` does nothing, and then the process kills itself. With
 * `SPPO_LOG_CHANGES` the changes are appended to that file.
 *
 * @module
 */

import { main } from "../../cli/main.ts";

const crashAt = Deno.env.get("SPPO_CRASH_AT");
const log = Deno.env.get("SPPO_LOG_CHANGES");
const paths = new WeakMap<Deno.FsFile, string>();
const { open, remove, rename } = Deno;
const { write } = Deno.FsFile.prototype;

/** Whether to die in the midst of a change. */
function change(what: string): boolean {
  if (log !== undefined) Deno.writeTextFileSync(log, `${what}\n`, { append: true });
  return what === crashAt;
}

function die(): void {
  Deno.kill(Deno.pid, "SIGKILL");
}

Deno.open = async (path, options) => {
  const file = await open(path, options);
  paths.set(file, String(path));
  return file;
};

Deno.FsFile.prototype.write = async function (bytes) {
  if (change(`write ${paths.get(this) ?? ""}`)) {
    this.writeSync(bytes.subarray(0, Math.ceil(bytes.length / 2)));
    die();
  }
  return await write.call(this, bytes);
};

Deno.rename = async (from, to) => {
  if (change(`rename ${to}`)) die();
  await rename(from, to);
};

Deno.remove = async (path, options) => {
  if (change(`remove ${path}`)) die();
  await remove(path, options);
};

Deno.exit(await main(Deno.args));
