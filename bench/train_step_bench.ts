/**
 * What does a training step cost with an adapter, and with all weights? A Llama of the embedded policy's
 * size; 8 pairs of 16 + 48 tokens, gradients, clipping and AdamW, as the trainer takes a step.
 *
 * @module
 */

import { allTargets, LanguageModel, OPTIMIZERS, TRAINING_DEFAULTS } from "../models/mod.ts";
import type { PreparedGroup } from "../models/training/prepare.ts";
import { takeStep } from "../models/training/step.ts";
import { EMBEDDED_SIZE, onnxBackend, randomIds, randomLlama } from "./_models.ts";

const PAIRS = 8;
const TRAINABLE = {
  "rank 16 on all linear layers": {
    kind: "lora",
    lora: { rank: 16, alpha: 32, targets: allTargets(EMBEDDED_SIZE) },
  },
  "all weights": { kind: "all" },
} as const;

const groups = Array.from({ length: PAIRS }, (_, pair): PreparedGroup => {
  const promptIds = randomIds(`prompt ${pair}`, 16);
  return {
    responses: [0.8, 0.2].map((winRate) => ({
      promptIds,
      responseIds: randomIds(`response ${pair} ${winRate}`, 48),
      target: winRate - 0.5,
      weight: 0.5,
      winRate,
    })),
  };
});

const backend = await onnxBackend();
for (const [name, trainable] of Object.entries(TRAINABLE)) {
  const model = await LanguageModel.load(randomLlama(EMBEDDED_SIZE), backend, {
    template: "none",
    trainable,
  });
  const policy = await model.policy();
  const responses = groups.flatMap((group) => group.responses);
  const scored = await policy.scoreSequences(responses);
  responses.forEach((response, index) => {
    response.anchorLogProbs = scored[index]!;
  });
  const fit = await model.fit(policy, { name: "sppo", beta: 1 }, OPTIMIZERS.adamw);
  const options = { ...TRAINING_DEFAULTS, learningRate: 1e-6, tokensPerBatch: 2048 };
  let step = 0;
  Deno.bench({
    name,
    group: "training step",
    baseline: trainable.kind === "lora",
    warmup: 3,
    n: 10,
    async fn() {
      await takeStep(fit, options, groups, ++step);
    },
  });
}
