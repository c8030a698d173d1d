/**
 * What `core/` and `graph/` must be able to do without any permission.
 *
 * @module
 */

import { strict as assert } from "node:assert";
import * as core from "../../core/mod.ts";
import * as graph from "../../graph/mod.ts";

const oracle: core.PreferenceOracle = {
  id: "a before b",
  async *compare(groups) {
    for (const group of groups) {
      const texts = group.responses.map(({ text }) => text);
      yield core.judge(group, (i, j) => texts[i]! < texts[j]! ? 1 : 0);
    }
  },
};
const run = core.selfPlay({
  policy: core.tabularPolicy({ answers: { p: ["a", "b"] }, exhaustive: true }),
  oracle,
  trainer: core.multiplicativeWeights(),
  prompts: [{ id: "p", content: "a or b?" }],
  iterations: 1,
  sampling: { samples: 2, temperature: 1, topP: 1, maxTokens: 1 },
  selection: "all",
  eta: 2,
  journal: core.memoryJournal(),
});
let next = await run.next();
while (!next.done) next = await run.next();
assert.equal(next.value.iterations.length, 1);

const backend = graph.createReferenceBackend();
const store = await backend.createStore([{ name: "w", shape: [2, 2] }]);
await store.write("w", Float32Array.of(1, 2, 3, 4));
assert.deepEqual([...await store.read("w")], [1, 2, 3, 4]);
await backend.dispose();
