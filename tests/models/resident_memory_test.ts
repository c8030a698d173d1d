// Weights are held once, however many programs use them. Each kind of weights is used in a process of its
// own; what is compared is resident memory, in units of the weights' size.

import { strict as assert } from "node:assert";
import type { ResidentMemory } from "./_resident_memory.ts";

/** Compiled programs, caches, values of a run and garbage: far less than another copy. */
const SLACK = 0.4;

const ignore = Deno.build.os !== "linux"; // reads /proc

/** Memory after each use, by the use, in units of the weights' size. */
async function memoryOf(
  kind: "float32" | "file" | "merged" | "q4_0",
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
  const after = (of: "own" | "files") =>
    Object.fromEntries(uses.map((use) => [use.use, use[of] / weights]));
  return { own: after("own"), files: after("files") };
}

function between(value: number | undefined, low: number, high: number, what: string): void {
  assert.ok(value! >= low && value! <= high, `${what}: ${value} is not in [${low}, ${high}]`);
}

// What was read from the source may still wait for the garbage collector right after loading.

Deno.test({
  name: "float32 weights are held once, and once more packed, when they are used in every way",
  ignore,
  async fn() {
    const { own } = await memoryOf("float32");
    between(own["step"], 0.9, 1 + SLACK, "loaded, scored, a step taken");
    between(own["decode 16"], 1.8, 2 + 2 * SLACK, "and packed for decoding");
    between(own["decode 80"], 1.8, 2 + 2 * SLACK, "by two programs");
  },
});

Deno.test({
  name: "merged weights are held once more, and packed in place of the base's, whatever is merged",
  ignore,
  async fn() {
    const { own } = await memoryOf("merged");
    between(own["decode 80"], 1.8, 2 + 2 * SLACK, "the start's, which are the base's");
    for (const merged of ["merged 1", "merged 2", "merged 3"]) {
      between(own[merged], 2.7, 3 + 2 * SLACK, merged);
    }
  },
});

Deno.test({
  name: "float32 weights of a file are mapped, and take no memory of the process's own",
  ignore,
  async fn() {
    const { own, files } = await memoryOf("file");
    between(own["step"], 0, SLACK, "the process's own");
    between(files["step"], 0.9, 1 + SLACK, "the file's pages");
  },
});

Deno.test({
  name:
    "encoded weights are held once and once more packed, and a step decodes one matrix at a time",
  ignore,
  async fn() {
    const { own } = await memoryOf("q4_0");
    // A copy in float32 would take 6.4; compiled programs of 12 layers, one matrix and the values of a run
    // take about 2.
    between(own["step"], 0.9, 4, "loaded, scored, a step taken");
    between(own["decode 16"], own["step"]! + 0.5, 5.5, "and packed for decoding");
    between(own["decode 80"], 1.9, own["decode 16"]! + SLACK, "by two programs");
  },
});
