/**
 * The command line, killed in the midst of a write: `SPPO_CRASH_AT` is the end of a path; the first
 * write to such a file writes half of its bytes, and then the process
 * kills itself. With `SPPO_LOG_WRITES` the paths written are appended to that file.
 *
 * @module
 */

import { main } from "../../cli/main.ts";

const crashAt = Deno.env.get("SPPO_CRASH_AT");
const log = Deno.env.get("SPPO_LOG_WRITES");
const paths = new WeakMap<Deno.FsFile, string>();
const { open } = Deno;
const { write } = Deno.FsFile.prototype;

Deno.open = async (path, options) => {
  const file = await open(path, options);
  paths.set(file, String(path));
  return file;
};

Deno.FsFile.prototype.write = async function (bytes) {
  const path = paths.get(this) ?? "";
  if (log !== undefined) Deno.writeTextFileSync(log, `${path}\n`, { append: true });
  if (crashAt !== undefined && path.endsWith(crashAt)) {
    this.writeSync(bytes.subarray(0, Math.ceil(bytes.length / 2)));
    Deno.kill(Deno.pid, "SIGKILL");
  }
  return await write.call(this, bytes);
};

Deno.exit(await main(Deno.args));
