// The choice between float32 with the adapter apart or merged, and fast sampling.

import assert from "node:assert/strict";
import { chooseSampling, fastestWay } from "../../../models/mod.ts";
import { quantised } from "../_quantised.ts";
import { tinyLlama } from "../_tiny_llama.ts";
import { LORA, withBackend } from "../_tiny_model.ts";

const { lora } = LORA;

Deno.test("fastestWay() is the plainest unless another saves its part of a step", () => {
  assert.equal(fastestWay({ float32: 10 }, 0), "float32");
  assert.equal(fastestWay({ float32: 10, fast: 9.1 }, 0), "float32");
  assert.equal(fastestWay({ float32: 10, fast: 8.9 }, 0), "fast");
  assert.equal(fastestWay({ float32: 10, merged: 9 }, 0), "merged");
  // A step's share of merging: 0.6 leaves a saving of a fortieth of 10, 1.1 none.
  assert.equal(fastestWay({ float32: 10, merged: 9 }, 0.6), "merged");
  assert.equal(fastestWay({ float32: 10, merged: 9 }, 0.8), "float32");
  assert.equal(fastestWay({ float32: 10, merged: 9 }, 1.1), "float32");
  // Fast sampling is not the policy itself: it must be faster than what is, merged or not.
  assert.equal(fastestWay({ float32: 10, merged: 8, fast: 7.5 }, 0), "merged");
  assert.equal(fastestWay({ float32: 10, merged: 8, fast: 7.1 }, 0), "fast");
  assert.equal(fastestWay({ float32: 10, merged: 8, fast: 7.5 }, 1), "fast");
});

Deno.test("chooseSampling() measures what comes into question, and nothing where there is no choice", () =>
  withBackend(async (backend) => {
    const [floats, encoded] = [await tinyLlama(), await quantised("q4_1", false)];
    const float32 = { precision: "float32", sampledAdapter: "apart" };
    for (
      const [checkpoint, over, expected] of [
        [floats, {}, float32],
        [floats, { lora, sampledAdapter: "apart" }, float32],
        [floats, { lora, sampledAdapter: "merged" }, { ...float32, sampledAdapter: "merged" }],
        [floats, { lora, stepsPerPolicy: 63 }, float32], // too few to merge for
        [encoded, { lora, precision: "fast" }, { ...float32, precision: "fast" }],
        [encoded, { lora, precision: "float32", keepEncoded: true }, float32],
        [encoded, { lora, sampledAdapter: "apart", precision: "float32" }, float32],
      ] as const
    ) assert.deepEqual(await chooseSampling(checkpoint, backend, { rows: 2, ...over }), expected);

    const waysOf = async (...given: Parameters<typeof chooseSampling>) => {
      const { milliseconds, merging, ...chosen } = await chooseSampling(...given);
      const { stepsPerPolicy = Infinity } = given[2];
      assert.ok(Object.values(milliseconds!).every((took) => took > 0));
      assert.equal(merging !== undefined, milliseconds!.merged !== undefined);
      const way = fastestWay(milliseconds!, (merging ?? 0) / stepsPerPolicy);
      assert.deepEqual(chosen, {
        precision: way === "fast" ? "fast" : "float32",
        sampledAdapter: way === "merged" ? "merged" : "apart",
      });
      return Object.keys(milliseconds!);
    };
    const rows = 2;
    assert.deepEqual(await waysOf(encoded, backend, { rows }), ["float32", "fast"]);
    const all = ["float32", "merged", "fast"];
    assert.deepEqual(await waysOf(encoded, backend, { rows, lora, stepsPerPolicy: 64 }), all);
    assert.deepEqual(await waysOf(encoded, backend, { rows, lora }), all);
    const exact = { rows, lora, precision: "float32" } as const;
    assert.deepEqual(await waysOf(encoded, backend, exact), ["float32", "merged"]);
    assert.deepEqual(await waysOf(floats, backend, { rows, lora }), ["float32", "merged"]);
    const few = { rows, lora, keepEncoded: true };
    assert.deepEqual(await waysOf(encoded, backend, few), ["float32", "fast"]);
  }));
