// Weights are held once, however many programs use them. Each kind of weights is used in a process of its
// own; what is compared is resident memory, in units of the weights' size.

import { strict as assert } from "node:assert";
import type { ResidentMemory } from "./_resident_memory.ts";

/** Compiled programs, caches, values of a run and garbage: far less than another copy. */
const SLACK = 0.3;

const ignore = Deno.build.os !== "linux"; // reads /proc

/** Growth with each use, by the use, in units of the weights' size. */
async function grown(
  kind: "float32" | "file" | "q4_0",
): Promise<{ own: Record<string, number>; files: Record<string, number> }> {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--v8-flags=--expose-gc", "-A"],
      new URL("_resident_memory.ts", import.meta.url).pathname,
      kind,
    ],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  const { weights, uses } = JSON.parse(new TextDecoder().decode(stdout)) as ResidentMemory;
  const growth = (of: "own" | "files") =>
    Object.fromEntries(
      uses.map((use, index) => [use.use, (use[of] - (uses[index - 1]?.[of] ?? 0)) / weights]),
    );
  return { own: growth("own"), files: growth("files") };
}

function between(value: number | undefined, low: number, high: number, what: string): void {
  assert.ok(value! >= low && value! <= high, `${what}: ${value} is not in [${low}, ${high}]`);
}

Deno.test({
  name: "float32 weights are held once, and once more packed, when they are used in every way",
  ignore,
  async fn() {
    const { own } = await grown("float32");
    between(own["load"], 0.9, 1 + SLACK, "load");
    between(own["score"], -SLACK, SLACK, "score");
    between(own["step"], -SLACK, SLACK, "step");
    between(own["decode 16"], 0.5, 1 + SLACK, "the packed copy");
    between(own["decode 80"], -SLACK, SLACK, "the same packed copy");
  },
});

Deno.test({
  name: "float32 weights of a file are mapped, and take no memory of the process's own",
  ignore,
  async fn() {
    const { own, files } = await grown("file");
    between(own["load"], -SLACK, SLACK, "load");
    between(own["score"]! + own["step"]!, -SLACK, SLACK, "score and step");
    between(files["score"]! + files["step"]!, 0.7, 1 + SLACK, "the file's pages");
  },
});

Deno.test({
  name:
    "encoded weights are held once and once more packed, and a step decodes one matrix at a time",
  ignore,
  async fn() {
    const { own } = await grown("q4_0");
    between(own["load"], 0.9, 1 + 2 * SLACK, "load");
    // A copy in float32 would take 6.4; compiled programs of 12 layers, one matrix and the values of a run
    // take about 1.7.
    between(own["score"]! + own["step"]!, 0, 2.5, "score and step");
    between(own["decode 16"], 0.5, 1.6, "the packed copy");
    between(own["decode 80"], -SLACK, SLACK, "the same packed copy");
  },
});
