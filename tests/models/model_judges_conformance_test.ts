// What every oracle keeps to, of judges over tiny reward and general preference models.

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import {
  cachedJudge,
  generalPreferenceJudge,
  orderSwapJudge,
  panelJudge,
  rewardJudge,
} from "../../judges/mod.ts";
import {
  judgeParts,
  openClassifier,
  PreferenceEmbedder,
  ResponseReader,
  trainJudge,
} from "../../models/mod.ts";
import { testOracle } from "../judges/conformance.ts";
import { dataFiles } from "./_tiny_llama.ts";

const FILES = ["config.json", "model.safetensors", "tokenizer.json"] as const;
const TEXTS = [
  "A short answer.",
  "",
  "🙂 日本語 e\u0301",
  "\ud800 lone \udfff surrogates",
  " \n\t ",
  "word ".repeat(150),
  "\u0000\u0007 control",
];
/** Sums of float32 may depend on what is computed beside them. */
const TOLERANCE = 1e-6;

const backend = await createOnnxBackend({ threads: 1 });
const open = async (folder: string) => await openClassifier(await dataFiles(folder, FILES));
const llama = await ResponseReader.load(await open("tiny_reward_llama"), backend);
const deberta = await ResponseReader.load(await open("tiny_reward_deberta"), backend);
const embedder = await PreferenceEmbedder.load(await embedderParts(), backend);

/** The model with a head of one step, in which any four directions will do. */
async function embedderParts() {
  const parts = await open("tiny_reward_llama");
  const groups = [{ prompt: "?", responses: ["a", "b"], labels: [[null, 1], [null, null]] }];
  const steps = trainJudge(parts, backend, groups, {
    head: { kind: "general-preference", dimension: 4, tau: 1 },
    epochs: 1,
    learningRate: 0.1,
    pairsPerStep: 1,
    maxTokens: 64,
  });
  for (;;) {
    const { done, value } = await steps.next();
    if (done) return judgeParts(parts, value);
  }
}

const reward = () => rewardJudge(llama);
const preference = () => generalPreferenceJudge(embedder, { tau: 1 });

testOracle("rewardJudge() of a tiny decoder", {
  oracle: reward,
  texts: TEXTS,
  tolerance: TOLERANCE,
});
testOracle("rewardJudge() of a tiny DeBERTa", {
  oracle: () => rewardJudge(deberta),
  texts: TEXTS,
  tolerance: TOLERANCE,
});
testOracle("generalPreferenceJudge() of a tiny decoder", {
  oracle: preference,
  texts: TEXTS,
  tolerance: TOLERANCE,
});
testOracle("Wrappers of tiny models", {
  oracle: () =>
    cachedJudge(panelJudge([orderSwapJudge(reward()), preference()], { vote: "share" })),
  texts: TEXTS,
  tolerance: TOLERANCE,
});
