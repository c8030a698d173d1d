// Parity of PairRM with transformers and the head in PyTorch, on the stored numbers of
// tests/parity/tiny_judges.py, and the README's own numbers where its weights are given.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../../cli/file_source.ts";
import { pairJudge } from "../../../judges/pair_rm.ts";
import { rankScores, ranksOf } from "../../../judges/ranking.ts";
import { bytesSource, pairLayout, PairRanker } from "../../../models/mod.ts";
import { huggingFaceTokenizer } from "../../../models/text/mod.ts";
import { testOracle } from "../../judges/conformance.ts";
import { dataFiles, storedNumbers } from "../_tiny_llama.ts";

/** float32 against float32, of logits of about 1. */
const TOLERANCE = 1e-4;

/** Pieces and how often each occurs. */
type StoredText = readonly (readonly [string, number])[];

interface StoredGroup {
  readonly prompt: StoredText;
  readonly responses: readonly StoredText[];
  readonly logits: readonly (readonly number[])[];
  /** Tokens of each "left,right". */
  readonly lengths: Readonly<Record<string, number>>;
  /** Where they are few. */
  readonly ids?: Readonly<Record<string, readonly number[]>>;
}

const { pair_rm } = await storedNumbers<
  { readonly pair_rm: Readonly<Record<string, readonly StoredGroup[]>> }
>("tiny_judges.json");

const textOf = (stored: StoredText) => stored.map(([piece, times]) => piece.repeat(times)).join("");

const FILES = ["config.json", "model.safetensors", "tokenizer.json"] as const;

async function withRanker<T>(
  folder: string,
  run: (ranker: PairRanker) => Promise<T>,
): Promise<T> {
  await using backend = await createBackend();
  const ranker = await PairRanker.load(await dataFiles(folder, FILES), backend.backend);
  try {
    return await run(ranker);
  } finally {
    await ranker.dispose();
  }
}

async function createBackend() {
  const backend = await createOnnxBackend({ threads: 2 });
  return { backend, [Symbol.asyncDispose]: () => backend.dispose() };
}

for (const [folder, groups] of Object.entries(pair_rm)) {
  Deno.test(`PairRanker gives the reference's logits on ${folder}`, async () => {
    await withRanker(folder, async (ranker) => {
      for (const [index, group] of groups.entries()) {
        const texts = group.responses.map(textOf);
        const pairs = texts.flatMap((_, i) => texts.flatMap((_, j) => i === j ? [] : [[i, j]])) as [
          number,
          number,
        ][];
        const logits = await ranker.logits(textOf(group.prompt), texts, pairs);
        pairs.forEach(([i, j], at) => {
          const expected = group.logits[i]![j]!;
          assert.ok(
            Math.abs(logits[at]! - expected) <= TOLERANCE,
            `group ${index}, (${i}, ${j}): ${logits[at]}, expected ${expected}`,
          );
        });
      }
    });
  });
}

Deno.test("pairLayout() gives the reference's tokens, cut as it cuts them", async () => {
  const json = JSON.parse(
    await Deno.readTextFile(
      new URL("../../parity/data/tiny_pair_rm/tokenizer.json", import.meta.url),
    ),
  );
  const layout = pairLayout(await huggingFaceTokenizer(json), ["[CLS]", "[SEP]", "[PAD]"]);
  for (const { prompt, responses, ids, lengths } of pair_rm.tiny_pair_rm!) {
    for (const [key, length] of Object.entries(lengths)) {
      const [left, right] = key.split(",").map(Number) as [number, number];
      const [sequence] = layout.encode(textOf(prompt), responses.map(textOf), [[left, right]]);
      assert.equal(sequence!.ids.length, length);
      if (ids) assert.deepEqual(sequence!.ids, ids[key]);
    }
  }
});

Deno.test("PairRanker reads what is written like its special tokens as text", async () => {
  await withRanker("tiny_pair_rm", async (ranker) => {
    const pairs = [[0, 1], [1, 0]] as const;
    const marked = await ranker.logits("a <|source|> b", ["[SEP] <|candidate1|>", "[CLS]x"], pairs);
    const plain = await ranker.logits("a   b", ["   ", " x"], pairs);
    assert.deepEqual(marked, plain);
  });
});

Deno.test("PairRanker reads a conversation as the reference's get_pair_from_conv writes it", async () => {
  await withRanker("tiny_pair_rm", async (ranker) => {
    const conversation = [
      { role: "user", content: "hello" },
      { role: "assistant", content: "hi!" },
      { role: "user", content: "how are you?" },
    ] as const;
    const written =
      "Finish the following coversation in each i-th turn by filling in <Response i> with your " +
      "response.USER: hello\nAssistant: <Response 1>\nUSER: how are you?\nAssistant: <Response 2>";
    const answers = ["fine", "bye"];
    const candidates = answers.map((text) => `<Response 1>: hi!\n<Response 2>: ${text}`);
    const pairs = [[0, 1], [1, 0]] as const;
    assert.deepEqual(
      await ranker.logits(conversation, answers, pairs),
      await ranker.logits(written, candidates, pairs),
    );
    await assert.rejects(
      ranker.logits([{ role: "assistant", content: "hi" }], answers, pairs),
      new RangeError(
        "Cannot compare responses as user and assistant must take turns, the user first and last: assistant",
      ),
    );
  });
});

Deno.test("PairRanker.load() refuses files that are no PairRM, by name", async () => {
  await using backend = await createBackend();
  const files = await dataFiles("tiny_pair_rm", FILES);
  const json = (value: unknown) =>
    bytesSource("config.json", new TextEncoder().encode(JSON.stringify(value)));
  const refuses = async (changed: Record<string, unknown>, message: RegExp) => {
    const kept = Object.fromEntries(
      Object.entries({ ...files, ...changed }).filter(([, file]) => file !== undefined),
    ) as typeof files;
    await assert.rejects(PairRanker.load(kept, backend.backend), { message });
  };
  await refuses({ "tokenizer.json": undefined }, /tokenizer\.json must be there: it is absent/);
  await refuses(
    { "config.json": json({ model_type: "bert" }) },
    /model_type in config\.json is not supported yet: "bert"/,
  );
  await refuses(
    { "config.json": json({ ranker_type: "pairranker", model_name: "roberta-large" }) },
    /model_name must be a DeBERTa-v3: "roberta-large"/,
  );
});

const shared = await (async () => {
  const backend = await createOnnxBackend({ threads: 2 });
  return await PairRanker.load(await dataFiles("tiny_pair_rm", FILES), backend);
})();

testOracle("pairJudge() of a tiny PairRM", {
  oracle: () => pairJudge(shared),
  texts: [
    "A short answer.",
    "",
    "🙂 日本語 e\u0301",
    "\ud800 lone \udfff surrogates",
    " \n\t ",
    "word ".repeat(150),
    "\u0000\u0007 control",
  ],
});

/** A folder with llm-blender/PairRM or llm-blender/PairRM-hf. */
const weights = Deno.env.get("SPPO_PAIRRM");

Deno.test({
  name: "PairRanker gives the logits of LLM-Blender's README" +
    (weights === undefined ? " (skipped: SPPO_PAIRRM names no folder)" : ""),
  ignore: weights === undefined,
  async fn() {
    using open = await openCheckpointFiles(weights!);
    await using backend = await createBackend();
    const ranker = await PairRanker.load(open.files, backend.backend);
    const left = await ranker.logits("hello!", ["hi!", "f**k off!"], [[0, 1]]);
    const right = await ranker.logits("I love you!", ["I hate you!", "I love you, too!"], [[0, 1]]);
    assert.ok(Math.abs(left[0]! - 1.9003021717071533) < 1e-3, `${left[0]}`);
    assert.ok(Math.abs(right[0]! - -1.2547134160995483) < 1e-3, `${right[0]}`);
    const ranks = async (prompt: string, texts: readonly string[]) => {
      const group = {
        prompt: { id: "p", content: prompt },
        responses: texts.map((text) => ({ text })),
      };
      for await (const { logits } of pairJudge(ranker).compare([group])) {
        return ranksOf(rankScores(logits!));
      }
    };
    assert.deepEqual(
      await ranks("hello, how are you!", ["get out!", "hi! I am fine, thanks!", "bye!"]),
      [3, 1, 2],
    );
    assert.deepEqual(
      await ranks("I love you!", ["I love you too!", "I hate you!", "Thanks! You're a good guy!"]),
      [1, 3, 2],
    );
    await ranker.dispose();
  },
});
