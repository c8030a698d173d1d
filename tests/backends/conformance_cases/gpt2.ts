/**
 * A GPT-2 on a backend, against numbers of transformers and peft: `tests/parity/architectures.py` and
 * `whole_models.py`.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Backend, readAsFloat32 } from "../../../graph/mod.ts";
import { huggingFaceTensors } from "../../../models/checkpoints/names.ts";
import {
  LanguageModel,
  loadAdapter,
  type LocalPolicy,
  openSafetensors,
  OPTIMIZERS,
} from "../../../models/mod.ts";
import type { PreparedGroup } from "../../../models/training/prepare.ts";
import { takeStep } from "../../../models/training/step.ts";
import type { StoredNumbers, StoredVariant } from "../../models/_architectures.ts";
import { dataFiles, openStored, storedNumbers } from "../../models/_tiny_llama.ts";
import { promptOf } from "../../models/_tiny_model.ts";
import { type Case, gradientTolerance, near, type StoredSteps } from "./_support.ts";

const FOLDER = "architectures/gpt2";
/** float32 on both sides, of log-probabilities down to about −10. */
const LOG_PROBS = 1e-4;
/** Steps amplify roundings. */
const TRAINED = 1e-3;

interface Loaded {
  readonly groups: StoredNumbers["groups"];
  readonly variant: StoredVariant;
  readonly model: LanguageModel;
  readonly policy: LocalPolicy;
}

/** The model with its stored adapter. */
async function withModel(backend: Backend, run: (loaded: Loaded) => Promise<void>): Promise<void> {
  const { groups, variants } = await storedNumbers<StoredNumbers>(
    "architectures/architectures.json",
  );
  const checkpoint = await openStored(FOLDER);
  const { lora, tensors } = await loadAdapter(
    await dataFiles(`${FOLDER}/adapter`, ["adapter_config.json", "adapter_model.safetensors"]),
    checkpoint.config,
  );
  const model = await LanguageModel.load(checkpoint, backend, {
    template: "none",
    trainable: { kind: "lora", lora },
  });
  try {
    const policy = await model.policyFromTensors(tensors);
    await run({ groups, variant: variants["gpt2"]!, model, policy });
    await policy.dispose();
  } finally {
    await model.dispose();
  }
}

/** All responses, with weights by which the sum of losses is the mean of −log p over all tokens. */
function meanLikelihood(groups: Loaded["groups"]): PreparedGroup[] {
  const tokens = groups.flatMap(({ responses }) => responses.flat()).length;
  return groups.map(({ prompt_ids, responses }) => ({
    responses: responses.map((responseIds) => ({
      promptIds: prompt_ids,
      responseIds,
      target: 0,
      weight: groups.length / tokens,
      winRate: 0.5,
    })),
  }));
}

/** Options of a step that updates at a rate and clips nothing. */
const stepOptions = (learningRate: number) => ({
  optimizer: OPTIMIZERS.adamw,
  learningRate,
  maxGradNorm: 0,
  tokensPerBatch: 64,
});

/** Scores, writes and learns as the references do. */
export const gpt2Cases: readonly Case[] = [
  {
    name: "a GPT-2 with an adapter gives transformers' log-probabilities",
    run: (backend) =>
      withModel(backend, async ({ groups, variant, policy }) => {
        const scored = await Array.fromAsync(policy.logProbs(
          groups.map(({ prompt_ids, responses }, index) => ({
            prompt: promptOf(`${index}`, prompt_ids),
            responses: responses.map((tokenIds) => ({ text: "", tokenIds })),
          })),
        ));
        const wanted = variant.adapter.flat();
        assert.equal(scored.flat().length, wanted.length);
        scored.flat().forEach((logProbs, index) =>
          near(logProbs, wanted[index]!, LOG_PROBS, `response ${index}`, 1)
        );
      }),
  },
  {
    name: "a GPT-2 with an adapter writes transformers' greedy text",
    run: (backend) =>
      withModel(backend, async ({ groups, variant: { adapter_greedy: wanted }, policy }) => {
        const prompts = groups.map(({ prompt_ids }, index) => promptOf(`${index}`, prompt_ids));
        const maxTokens = wanted[0]!.ids.length;
        const options = { samples: 2, temperature: 0, topP: 1, maxTokens, seed: 0 };
        const sampled = await Array.fromAsync(policy.sample(prompts, options));
        assert.equal(sampled.length, wanted.length);
        sampled.forEach(({ responses }, index) => {
          for (const { tokenIds } of responses) assert.deepEqual(tokenIds, wanted[index]!.ids);
        });
      }),
  },
  {
    name: "the likelihood of a GPT-2 has PyTorch's LoRA gradients",
    run: (backend) =>
      withModel(backend, async ({ groups, variant, model, policy }) => {
        const fit = await model.fit(policy, { name: "sft" }, OPTIMIZERS.adamw);
        const { loss } = await takeStep(fit, stepOptions(0), meanLikelihood(groups), 1);
        const tolerance = gradientTolerance(backend);
        near([loss!], [variant.adapter_loss], tolerance, "loss");
        const files = await dataFiles(FOLDER, ["gradients.safetensors"]);
        const { tensors } = await openSafetensors(files["gradients.safetensors"]!);
        const { config } = await openStored(FOLDER);
        let compared = 0;
        for (const [name, tensor] of huggingFaceTensors(tensors, config)) {
          if (!name.includes(".lora_")) continue;
          near(await fit.gradients.read(name), await readAsFloat32(tensor), tolerance, name);
          compared++;
        }
        assert.equal(compared, fit.gradients.names.length);
      }),
  },
  {
    name: "three steps of a GPT-2 have PyTorch's losses and gradient norms",
    run: (backend) =>
      withModel(backend, async ({ groups, model, policy }) => {
        const { gpt2 } = await storedNumbers<{ gpt2: StoredSteps }>("whole_models.json");
        const fit = await model.fit(policy, { name: "sft" }, OPTIMIZERS.adamw);
        const options = stepOptions(gpt2.lr);
        for (const [index, { loss, grad_norm }] of gpt2.steps.entries()) {
          const metrics = await takeStep(fit, options, meanLikelihood(groups), index + 1);
          near([metrics.loss!], [loss], TRAINED, `loss of step ${index + 1}`);
          near([metrics.grad_norm!], [grad_norm], TRAINED, `grad_norm of step ${index + 1}`);
        }
      }),
  },
];
