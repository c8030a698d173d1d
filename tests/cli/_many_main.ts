/**
 * Runs several commands one after the other in one process, up to the first that fails.
 *
 *     deno run … _many_main.ts '[["train", …], …]'
 *
 * @module
 */

import { main } from "../../cli/main.ts";

for (const args of JSON.parse(Deno.args[0]!) as string[][]) {
  const code = await main(args);
  if (code !== 0) {
    await Deno.stderr.write(new TextEncoder().encode(`in: sppo ${args.join(" ")}\n`));
    Deno.exit(code);
  }
}
