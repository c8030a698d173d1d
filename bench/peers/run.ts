/**
 * Ours against the peers: installs what is missing outside the repository, runs each comparison in a
 * process of its own, one after the other, and writes the sections of docs/performance.md.
 *
 *     deno task bench:peers [--only NAME,NAME] [--folder DIR] [--venv DIR] [--python python3] \
 *       [--model FILE.gguf] [--markdown docs/performance.md] [--plan]
 *
 * DIR is ~/.cache/sppo-peers when not given. `--venv` names an environment that exists or is to be made;
 * `--plan` prints the commands and runs none. Where a comparison fails the others go on, and the exit
 * code is 1.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPeers } from "./_install.ts";
import { runComparison, say } from "./_options.ts";
import { commandOf, comparisonsOf, type PeerPlaces } from "./_plan.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "."}/.cache`;
  return `${cache}/sppo-peers`;
}

await runComparison(async () => {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    options: {
      only: text,
      folder: text,
      venv: text,
      python: { ...text, default: "python3" },
      model: text,
      markdown: { ...text, default: `${root}docs/performance.md` },
      plan: { type: "boolean", default: false },
    },
  });
  const folder = values.folder ?? cacheFolder();
  const shared = Deno.env.get("SPPO_SHARED") ?? `${root}../shared`;
  const places: PeerPlaces = {
    model: values.model ??
      `${shared}/models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf`,
    venv: values.venv ?? `${folder}/venv`,
    npm: `${folder}/npm`,
    made: folder,
  };
  const comparisons = comparisonsOf(values.only?.split(",") ?? []);
  if (values.plan) {
    for (const one of comparisons) {
      say(["deno", ...commandOf(one, places, values.markdown)].join(" "));
    }
    return;
  }
  await installPeers(comparisons, places, values.python);
  const failed: string[] = [];
  for (const one of comparisons) {
    say(`\n${one.name}`);
    const started = performance.now();
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: [...commandOf(one, places, values.markdown)],
      cwd: root,
    }).spawn().status;
    if (code !== 0) failed.push(one.name);
    say(`${one.name}: ${((performance.now() - started) / 60_000).toFixed(1)} min`);
  }
  if (failed.length > 0) {
    throw new Error(
      `Cannot say how all comparisons went as each must end well: ${failed.join(", ")}`,
    );
  }
});
