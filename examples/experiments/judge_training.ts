// deno-lint-ignore-file no-console -- a script that prints
/**
 * Judges trained on GPT-4's verdicts, against what knows no text: docs/experiments/judges.md.
 *
 *     deno run -A examples/experiments/judge_training.ts VERDICTS.jsonl MODEL.gguf [MAX_TOKENS [BLOCKS]]
 *
 * Of a long conversation the last MAX_TOKENS are read, by the first BLOCKS of the model (all of them).
 * The trunk reads each response once; heads are then fitted and tried on its hidden states, prompts
 * held out in turns of a fifth. Intervals are of a bootstrap over prompts.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { randomStream } from "../../core/mod.ts";
import type { Backend } from "../../graph/mod.ts";
import { agreement, type JudgedPair, labelTriads, skewScore } from "../../judges/mod.ts";
import {
  checkpointTrunk,
  type LabelledGroup,
  labelledGroup,
  type LabelledPair,
  labelledPairs,
  openCheckpoint,
  type PreferenceHead,
  trainJudge,
  type TrunkParts,
} from "../../models/mod.ts";
import { noHead } from "../../models/preference/response_heads.ts";
import { SequenceReader } from "../../models/preference/sequence_reader.ts";

const FOLDS = 5;
const RESAMPLES = 2000;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** P(left ≻ right) of each pair of held-out groups, from those that are not. */
type Method = (
  train: readonly number[],
  pairs: readonly LabelledPair[],
) => Promise<number[]>;

const [path, model, maxTokens = "320", blocks] = Deno.args;
if (path === undefined || model === undefined) {
  console.error("Usage: judge_training.ts VERDICTS.jsonl MODEL.gguf [MAX_TOKENS [BLOCKS]]");
  Deno.exit(2);
}
const lines = (await Deno.readTextFile(path)).trim().split("\n");
const groups: LabelledGroup[] = lines.map((line, index) => {
  const fields = JSON.parse(line);
  return labelledGroup(fields, fields.prompt, `line ${index + 1}`);
});
const pairs = labelledPairs(groups);

const backend = await createOnnxBackend({ threads: navigator.hardwareConcurrency });
const started = performance.now();
const trunk = await readOnce(backend, model, groups, Number(maxTokens));
console.log(
  `read ${groups.flatMap(({ responses }) => responses).length} responses in ` +
    `${((performance.now() - started) / 1000).toFixed(0)} s`,
);

const methods: Record<string, Method> = {
  "one half": (_, held) => Promise.resolve(held.map(() => 0.5)),
  "length alone": length,
  "which system": system,
  "Bradley–Terry head": fitted({ kind: "bradley-terry" }),
  "general preference head, 2": fitted({ kind: "general-preference", dimension: 2, tau: 1 }),
  "general preference head, 8": fitted({ kind: "general-preference", dimension: 8, tau: 1 }),
};
const foldOf = folds(groups.length);
const judged: Record<string, (JudgedPair & { readonly group: number })[]> = {};
for (const [name, method] of Object.entries(methods)) {
  judged[name] = [];
  for (let fold = 0; fold < FOLDS; fold++) {
    const train = [...foldOf.keys()].filter((group) => foldOf[group] !== fold);
    const held = pairs.filter(({ group }) => foldOf[group] === fold);
    const preferences = await method(train, held);
    held.forEach(({ group, label }, index) =>
      judged[name]!.push({ group, label, preference: preferences[index]! })
    );
  }
}
report();
await backend.dispose();

/** Hidden states of every response, read once, as a trunk of their own. */
async function readOnce(
  backend: Backend,
  path: string,
  groups: readonly LabelledGroup[],
  maxTokens: number,
): Promise<TrunkParts> {
  using open = await openCheckpointFiles(path);
  const opened = await openCheckpoint(open.files);
  const layers = blocks === undefined ? opened.config.layers : Number(blocks);
  const { layout, trunk, tensors } = await checkpointTrunk({
    ...opened,
    config: { ...opened.config, layers },
  });
  const reader = await SequenceReader.load(trunk, noHead(), tensors, backend);
  const sequences = groups.flatMap(({ prompt, responses }) =>
    responses.map((response) => layout.encode(prompt, response, maxTokens))
  );
  const states = await reader.read(sequences);
  await reader.dispose();
  const at = new Map(
    groups.flatMap(({ prompt, responses }) => responses.map((response) => `${prompt}\n${response}`))
      .map((key, index) => [key, index]),
  );
  const { hiddenSize } = trunk;
  return {
    layout: {
      settings: "read",
      encode: (prompt, response) => ({ ids: [at.get(`${prompt}\n${response}`)!], places: [0] }),
    },
    trunk: {
      settings: "read",
      hiddenSize,
      vocabSize: states.length,
      tensors: [],
      adapterTensors: () => [],
      hidden: (g) => g.input("states", "float32", ["batch", hiddenSize]),
      pack(rows) {
        const data = new Float32Array(rows.length * hiddenSize);
        rows.forEach(({ ids }, row) => data.set(states[ids[0]!]!, row * hiddenSize));
        return { states: { shape: [rows.length, hiddenSize], data } };
      },
    },
    tensors: new Map(),
  };
}

/** A head fitted on the pairs of some groups. */
function fitted(head: PreferenceHead): Method {
  return async (train, held) => {
    const steps = trainJudge(trunk, backend, train.map((group) => groups[group]!), {
      head,
      epochs: 6,
      learningRate: 2e-3,
      weightDecay: 0.1,
      pairsPerStep: 64,
      maxTokens: 1,
    });
    for (;;) {
      const { done, value } = await steps.next();
      if (!done) continue;
      const { matrix } = value;
      const outputs = new Map<string, Float64Array>();
      const output = (group: number, response: number): Float64Array => {
        const key = `${group},${response}`;
        const known = outputs.get(key);
        if (known) return known;
        const { prompt, responses } = groups[group]!;
        const ids = trunk.layout.encode(prompt, responses[response]!, 1);
        const state = trunk.trunk.pack([ids]).states!.data;
        const made = Float64Array.from({ length: matrix.shape[0]! }, (_, row) => {
          let sum = 0;
          for (let d = 0; d < state.length; d++) {
            sum += matrix.data[row * state.length + d]! * state[d]!;
          }
          return sum;
        });
        outputs.set(key, made);
        return made;
      };
      return held.map(({ group, left, right }) => {
        const [a, b] = [output(group, left), output(group, right)];
        return sigmoid(head.kind === "bradley-terry" ? a[0]! - b[0]! : skewScore(a, b) / head.tau);
      });
    }
  };
}

/** σ(w · (difference of lengths in words, in hundreds)), w by Newton's method. */
function length(train: readonly number[], held: readonly LabelledPair[]): Promise<number[]> {
  const words = (text: string) => text.split(/\s+/).filter((word) => word !== "").length;
  const x = ({ group, left, right }: LabelledPair) => {
    const { responses } = groups[group]!;
    return (words(responses[left]!) - words(responses[right]!)) / 100;
  };
  const kept = pairs.filter(({ group }) => train.includes(group));
  let weight = 0;
  for (let round = 0; round < 50; round++) {
    let slope = 0, curvature = 1e-9;
    for (const pair of kept) {
      const p = sigmoid(weight * x(pair));
      slope += (pair.label - p) * x(pair);
      curvature += p * (1 - p) * x(pair) ** 2;
    }
    weight += slope / curvature;
  }
  return Promise.resolve(held.map((pair) => sigmoid(weight * x(pair))));
}

/** How often one system was preferred to the other on the other prompts, with one tie added. */
function system(train: readonly number[], held: readonly LabelledPair[]): Promise<number[]> {
  const sums = new Map<string, { sum: number; count: number }>();
  for (const { group, left, right, label } of pairs) {
    if (!train.includes(group)) continue;
    const key = `${left},${right}`;
    const entry = sums.get(key) ?? { sum: 0.5, count: 1 };
    sums.set(key, { sum: entry.sum + label, count: entry.count + 1 });
  }
  return Promise.resolve(held.map(({ left, right }) => {
    const { sum, count } = sums.get(`${left},${right}`)!;
    return sum / count;
  }));
}

/** The fold of each group, about as many in each. */
function folds(count: number): number[] {
  const random = randomStream(0, "folds");
  const order = Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const fold = new Array<number>(count);
  order.forEach((group, at) => fold[group] = at % FOLDS);
  return fold;
}

function report(): void {
  let triads = 0, cyclic = 0;
  groups.forEach(({ responses }, group) => {
    const table = responses.map(() => responses.map((): number | null => null));
    for (const { left, right, label } of pairs.filter((pair) => pair.group === group)) {
      table[left]![right] = label;
      table[right]![left] = 1 - label;
    }
    const counted = labelTriads(table);
    triads += counted.triads;
    cyclic += counted.cyclic;
  });
  console.log(
    `${groups.length} prompts, ${pairs.length} pairs, cyclic triads ${cyclic} of ${triads}`,
  );
  const percent = (x: number) => (100 * x).toFixed(1);
  for (const [name, all] of Object.entries(judged)) {
    const { accuracy, brier, logLoss, decided } = agreement(all);
    const byGroup = [...Map.groupBy(all, ({ group }) => group).values()];
    const random = randomStream(1, name);
    const resampled = Array.from(
      { length: RESAMPLES },
      () =>
        agreement(byGroup.flatMap(() => byGroup[Math.floor(random.next() * byGroup.length)]!))
          .accuracy,
    ).sort((a, b) => a - b);
    const at = (share: number) => percent(resampled[Math.floor(share * RESAMPLES)]!);
    console.log(
      `| ${name} | ${percent(accuracy)} (${at(0.025)}–${at(0.975)}) | ${brier.toFixed(4)} | ` +
        `${logLoss.toFixed(4)} | ${decided} |`,
    );
  }
  for (const name of ["length alone", "Bradley–Terry head", "general preference head, 8"]) {
    console.log(name);
    for (const row of agreement(judged[name]!).reliability) {
      console.log(
        `| ${row.low.toFixed(1)}–${row.high.toFixed(1)} | ${row.pairs} | ${
          row.preference.toFixed(3)
        } | ${row.label.toFixed(3)} |`,
      );
    }
  }
}
