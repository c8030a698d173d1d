// Parity of the Llama programs with transformers, PyTorch and peft, on the stored numbers of
// tests/parity/tiny_llama_lora.py.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import type { Backend } from "../../graph/mod.ts";
import { LanguageModel, loadAdapter, type LocalPolicy, OPTIMIZERS } from "../../models/mod.ts";
import type { PreparedGroup } from "../../models/training/prepare.ts";
import { takeStep } from "../../models/training/step.ts";
import {
  dataFiles,
  type StoredNumbers,
  storedNumbers,
  type StoredVariant,
  tinyLlama,
} from "./_tiny_llama.ts";

/** float32 against float32: two roundings of sums of some hundred terms. */
const LOG_PROB_TOLERANCE = 2e-5;
/** Relative; gradients are sums over all tokens and layers. */
const GRADIENT_TOLERANCE = 1e-4;
/** Ten steps amplify roundings; the reference itself varies by up to 8e-5. */
const TRAINED_TOLERANCE = 1e-3;

const VARIANTS = ["tiny_llama", "tiny_llama_untied"] as const;
const stored = await storedNumbers<StoredNumbers>("tiny_llama_lora.json");

async function withBackend(run: (backend: Backend) => Promise<void>): Promise<void> {
  const backend = await createOnnxBackend({ threads: 2 });
  try {
    await run(backend);
  } finally {
    await backend.dispose();
  }
}

async function load(
  backend: Backend,
  variant: typeof VARIANTS[number],
  kind: "none" | "lora" | "all",
) {
  const checkpoint = await tinyLlama(variant);
  const adapter = await loadAdapter(
    await dataFiles("tiny_llama_adapter", ["adapter_config.json", "adapter_model.safetensors"]),
    checkpoint.config,
  );
  const model = await LanguageModel.load(checkpoint, backend, {
    template: "none",
    trainable: kind === "lora" ? { kind, lora: adapter.lora } : { kind },
  });
  const policy = kind === "lora"
    ? await model.policyFromTensors(adapter.tensors)
    : await model.policy();
  return { model, policy };
}

function responseGroups() {
  return stored.groups.map(({ prompt_ids, responses }, index) => ({
    prompt: { id: `${index}`, content: prompt_ids.join(" ") },
    responses: responses.map(({ ids }) => ({ text: "", tokenIds: ids })),
  }));
}

function preparedGroups(variant: StoredVariant): PreparedGroup[] {
  return stored.groups.map(({ prompt_ids, responses }, group) => ({
    responses: responses.map(({ ids, win_rate }, index) => ({
      promptIds: prompt_ids,
      responseIds: ids,
      target: stored.eta * (win_rate - 0.5),
      weight: 0.5,
      winRate: win_rate,
      anchorLogProbs: Float32Array.from(variant.base_token_log_probs[group]![index]!),
    })),
  }));
}

async function assertLogProbs(
  policy: LocalPolicy,
  expected: StoredVariant["base_token_log_probs"],
  tolerance: number,
): Promise<void> {
  let group = 0;
  for await (const scored of policy.logProbs(responseGroups())) {
    scored.forEach((logProbs, response) =>
      logProbs.forEach((logProb, token) => {
        const wanted = expected[group]![response]![token]!;
        assert.ok(
          Math.abs(logProb - wanted) <= tolerance,
          `group ${group}, response ${response}, token ${token}: ${logProb}, expected ${wanted}`,
        );
      })
    );
    group++;
  }
  assert.equal(group, expected.length);
}

function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  what: string,
): void {
  assert.equal(actual.length, expected.length, what);
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]!));
    worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!));
  }
  assert.ok(worst <= relative * largest, `${what}: off by ${worst} of ${largest}`);
}

for (const name of VARIANTS) {
  const variant = stored.variants[name];

  Deno.test(`LocalPolicy.logProbs() equals transformers when the model is ${name}`, () =>
    withBackend(async (backend) => {
      const { policy } = await load(backend, name, "none");
      await assertLogProbs(policy, variant.base_token_log_probs, LOG_PROB_TOLERANCE);
    }));

  Deno.test(`LocalPolicy.logProbs() equals peft when ${name} carries an adapter`, () =>
    withBackend(async (backend) => {
      const { policy } = await load(backend, name, "lora");
      await assertLogProbs(policy, variant.adapter_token_log_probs, LOG_PROB_TOLERANCE);
    }));

  for (const kind of ["none", "lora"] as const) {
    Deno.test(`LocalPolicy.sample() equals transformers' greedy tokens when ${name} is ${kind}`, () =>
      withBackend(async (backend) => {
        const { policy } = await load(backend, name, kind);
        const prompts = variant.greedy.map(({ prompt_ids }, index) => ({
          id: `${index}`,
          content: prompt_ids.join(" "),
        }));
        const options = { samples: 2, temperature: 0, topP: 1, maxTokens: 16, seed: 0 };
        let index = 0;
        for await (const { responses } of policy.sample(prompts, options)) {
          const { base, adapter } = variant.greedy[index++]!;
          for (const { tokenIds } of responses) {
            assert.deepEqual(tokenIds, (kind === "none" ? base : adapter).ids);
          }
        }
        assert.equal(index, prompts.length);
      }));
  }

  Deno.test(`gradientProgram() equals PyTorch's gradients of the pair loss when the model is ${name}`, () =>
    withBackend(async (backend) => {
      const { model, policy } = await load(backend, name, "lora");
      const fit = await model.fit(policy, { name: "sppo", beta: 1 }, OPTIMIZERS.adamw);
      const options = {
        optimizer: OPTIMIZERS.adamw,
        learningRate: 0,
        maxGradNorm: 0,
        tokensPerBatch: 2048,
      };
      const metrics = await takeStep(fit, options, preparedGroups(variant), 1);
      assertClose([metrics.loss!], [variant.sppo.loss], GRADIENT_TOLERANCE, "loss");
      assertClose([metrics.grad_norm!], [variant.sppo.grad_norm], GRADIENT_TOLERANCE, "grad_norm");
      for (const [key, { values }] of Object.entries(variant.sppo.gradients)) {
        const tensor = key.replace("base_model.model.", "");
        assertClose(await fit.gradients.read(tensor), values, GRADIENT_TOLERANCE, tensor);
      }
    }));

  Deno.test(`gradientProgram() equals PyTorch's gradients of all weights when the model is ${name}`, () =>
    withBackend(async (backend) => {
      const nll = await storedNumbers<{
        loss: number;
        gradients: Record<string, { values: number[] }>;
      }>(`${name}_nll_gradients.json`);
      const { model, policy } = await load(backend, name, "all");
      const fit = await model.fit(policy, { name: "sft" }, OPTIMIZERS.adamw);
      const options = {
        optimizer: OPTIMIZERS.adamw,
        learningRate: 0,
        maxGradNorm: 0,
        tokensPerBatch: 30,
      };
      const tokens = stored.groups.flatMap(({ responses }) =>
        responses
      ).flatMap(({ ids }) => ids).length;
      const groups = preparedGroups(variant).map(({ responses }) => ({
        responses: responses.map((one) => ({ ...one, weight: stored.groups.length / tokens })),
      }));
      const metrics = await takeStep(fit, options, groups, 1);
      assertClose([metrics.loss!], [nll.loss], GRADIENT_TOLERANCE, "loss");
      for (const [tensor, { values }] of Object.entries(nll.gradients)) {
        assertClose(await fit.gradients.read(tensor), values, GRADIENT_TOLERANCE, tensor);
      }
      assert.equal(fit.gradients.names.length, Object.keys(nll.gradients).length);
    }));

  for (const run of ["adamw", "adamw_clipped", "rmsprop", "rmsprop_clipped"] as const) {
    Deno.test(`takeStep() ends where PyTorch does after ten steps of ${run} when the model is ${name}`, () =>
      withBackend(async (backend) => {
        const { lr, weight_decay: weightDecay = 0, max_grad_norm, steps, final_token_log_probs } =
          variant.runs[run];
        const { model, policy } = await load(backend, name, "lora");
        const optimizer = run.startsWith("adamw")
          ? { ...OPTIMIZERS.adamw, weightDecay }
          : { ...OPTIMIZERS.rmsprop, weightDecay };
        const fit = await model.fit(policy, { name: "sppo", beta: 1 }, optimizer);
        const options = {
          optimizer,
          learningRate: lr,
          maxGradNorm: max_grad_norm ?? 0,
          tokensPerBatch: 2048,
        };
        const groups = preparedGroups(variant);
        for (const [index, { loss, grad_norm }] of steps.entries()) {
          const metrics = await takeStep(fit, options, groups, index + 1);
          assert.ok(
            Math.abs(metrics.loss! - loss) <= TRAINED_TOLERANCE * Math.max(1, loss),
            `loss ${index}`,
          );
          assertClose([metrics.grad_norm!], [grad_norm], 1e-2, `grad_norm of step ${index}`);
        }
        await assertLogProbs(
          await model.policyOf(fit.trained),
          final_token_log_probs,
          TRAINED_TOLERANCE,
        );
        // The policy the fit started from is untouched.
        await assertLogProbs(policy, variant.adapter_token_log_probs, LOG_PROB_TOLERANCE);
      }));
  }
}
