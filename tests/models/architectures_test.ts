// Parity of every decoder architecture with transformers and peft, on the tiny checkpoints and stored
// numbers of tests/parity/architectures.py: texts longer than the windows, and than the lengths that
// rotary scalings start from.

import assert from "node:assert/strict";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { type Backend, readAsFloat32 } from "../../graph/mod.ts";
import {
  bytesSource,
  type Checkpoint,
  LanguageModel,
  loadAdapter,
  type LocalPolicy,
  openCheckpoint,
  OPTIMIZERS,
  writeCheckpoint,
} from "../../models/mod.ts";
import { vocabularyLogits } from "../../models/architectures/mod.ts";
import { SequenceReader } from "../../models/preference/sequence_reader.ts";
import { decoderTrunk } from "../../models/preference/trunk.ts";
import type { PreparedGroup } from "../../models/training/prepare.ts";
import { takeStep } from "../../models/training/step.ts";
import {
  folderFiles,
  openGgufOf,
  openVariant,
  storedGradients,
  storedNumbers,
  type StoredVariant,
} from "./_architectures.ts";

/** Of a log-probability, relative; float32 against float32. */
const LOG_PROB_TOLERANCE = 1e-4;
/** Of a tensor's largest gradient; gradients are sums over all tokens and layers. */
const GRADIENT_TOLERANCE = 1e-4;
/** llama.cpp adds 1 to the norms of Gemma in float32, which rounds them. */
const GGUF_NORM_TOLERANCE = 2 ** -23;

const { groups, variants } = await storedNumbers();
const names = Object.keys(variants);

async function withBackend(run: (backend: Backend) => Promise<void>): Promise<void> {
  const backend = await createOnnxBackend({ threads: 1 });
  try {
    await run(backend);
  } finally {
    await backend.dispose();
  }
}

async function load(backend: Backend, variant: StoredVariant, kind: "none" | "lora" | "all") {
  const checkpoint = await openVariant(variant);
  const adapter = await loadAdapter(
    await folderFiles(`${variant.checkpoint}/adapter`),
    checkpoint.config,
  );
  const model = await LanguageModel.load(checkpoint, backend, {
    template: "none",
    trainable: kind === "lora" ? { kind, lora: adapter.lora } : { kind },
  });
  const policy = kind === "lora"
    ? await model.policyFromTensors(adapter.tensors)
    : await model.policy();
  return { model, policy, config: checkpoint.config };
}

async function assertLogProbs(
  policy: LocalPolicy,
  expected: StoredVariant["base"],
): Promise<void> {
  const asked = groups.map(({ prompt_ids, responses }, index) => ({
    prompt: { id: `${index}`, content: prompt_ids.join(" ") },
    responses: responses.map((tokenIds) => ({ text: "", tokenIds })),
  }));
  const scored = await Array.fromAsync(policy.logProbs(asked));
  expected.forEach((group, at) =>
    group.forEach((response, of) =>
      response.forEach((wanted, token) => {
        const logProb = scored[at]![of]![token]!;
        assert.ok(
          Math.abs(logProb - wanted) <= LOG_PROB_TOLERANCE * Math.max(1, Math.abs(wanted)),
          `group ${at}, response ${of}, token ${token}: ${logProb}, expected ${wanted}`,
        );
      })
    )
  );
}

async function assertGreedy(
  policy: LocalPolicy,
  expected: StoredVariant["base_greedy"],
): Promise<void> {
  const prompts = groups.map(({ prompt_ids }, index) => ({
    id: `${index}`,
    content: prompt_ids.join(" "),
  }));
  const maxTokens = expected[0]!.ids.length;
  const options = { samples: 2, temperature: 0, topP: 1, maxTokens, seed: 0 };
  const sampled = await Array.fromAsync(policy.sample(prompts, options));
  const scored = await Array.fromAsync(policy.logProbs(sampled));
  for (const [index, { ids }] of expected.entries()) {
    for (const [of, { tokenIds, logProb }] of sampled[index]!.responses.entries()) {
      assert.deepEqual(tokenIds, ids);
      // Greedy tokens do not show what normalises the logits, or holds them in bounds.
      const total = scored[index]![of]!.reduce((sum, one) => sum + one, 0);
      assert.ok(Math.abs(logProb! / total - 1) <= LOG_PROB_TOLERANCE, `${logProb} of ${total}`);
    }
  }
}

/** All responses, with weights by which the sum of losses is the mean of −log p over all tokens. */
function meanLikelihood(): PreparedGroup[] {
  const tokens = groups.flatMap(({ responses }) => responses.flat()).length;
  return groups.map(({ prompt_ids, responses }) => ({
    responses: responses.map((responseIds) => ({
      promptIds: prompt_ids,
      responseIds,
      target: 0,
      weight: groups.length / tokens,
      winRate: 0.5,
      previousLogProbs: new Float32Array(responseIds.length),
    })),
  }));
}

async function assertGradients(
  { model, policy }: { readonly model: LanguageModel; readonly policy: LocalPolicy },
  loss: number,
  expected: ReadonlyMap<string, Float32Array>,
): Promise<void> {
  const fit = await model.fit(policy, { name: "sft" }, OPTIMIZERS.adamw);
  const metrics = await takeStep(
    fit,
    {
      optimizer: OPTIMIZERS.adamw,
      learningRate: 0,
      maxGradNorm: 0,
      tokensPerBatch: 64,
    },
    meanLikelihood(),
    1,
  );
  assert.ok(Math.abs(metrics.loss! - loss) <= GRADIENT_TOLERANCE * loss, `loss ${metrics.loss}`);
  assert.deepEqual(new Set(fit.gradients.names), new Set(expected.keys()));
  for (const [name, wanted] of expected) {
    const found = await fit.gradients.read(name);
    const largest = Math.max(...wanted.map(Math.abs));
    const worst = Math.max(...wanted.map((value, at) => Math.abs(value - found[at]!)));
    // A key's bias moves all scores of a query alike: its gradient is 0 but for rounding.
    const scale = name.endsWith("k_proj.bias") ? 1 : largest;
    assert.ok(worst <= GRADIENT_TOLERANCE * scale, `${name}: off by ${worst} of ${largest}`);
  }
}

for (const name of names) {
  const variant = variants[name]!;

  Deno.test(`LocalPolicy gives transformers' log-probabilities and greedy tokens when the model is ${name}`, () =>
    withBackend(async (backend) => {
      const { policy } = await load(backend, variant, "none");
      await assertLogProbs(policy, variant.base);
      await assertGreedy(policy, variant.base_greedy);
    }));

  Deno.test(`LocalPolicy gives peft's numbers and gradients when ${name} carries an adapter`, () =>
    withBackend(async (backend) => {
      const { model, policy, config } = await load(backend, variant, "lora");
      await assertLogProbs(policy, variant.adapter);
      await assertGreedy(policy, variant.adapter_greedy);
      const expected = await storedGradients(name, variant, config, "adapter");
      await assertGradients({ model, policy }, variant.adapter_loss, expected);
    }));

  if (name !== variant.checkpoint) continue;

  Deno.test(`decoderTrunk() has the hidden states that ${name}'s log-probabilities are of`, () =>
    withBackend(async (backend) => {
      const { config, tensors } = await openVariant(variant);
      const { prompt_ids, responses: [response] } = groups[0]!;
      const places = response!.map((_, at) => prompt_ids.length - 1 + at);
      const { vocabSize, hiddenSize, tieWordEmbeddings } = config;
      const reader = await SequenceReader.load(
        decoderTrunk(config),
        {
          tensors: tieWordEmbeddings
            ? []
            : [{ name: "lm_head.weight", shape: [vocabSize, hiddenSize] }],
          places: places.length,
          settings: [],
          outputs: (g, hidden) =>
            g.reshape(vocabularyLogits(g, config, hidden), ["batch", places.length * vocabSize]),
        },
        tensors,
        backend,
      );
      const [logits] = await reader.read([{ ids: [...prompt_ids, ...response!], places }]);
      response!.forEach((id, at) => {
        const own = logits!.subarray(at * vocabSize, (at + 1) * vocabSize);
        const total = Math.log(own.reduce((sum, logit) => sum + Math.exp(logit), 0));
        const [logProb, wanted] = [own[id]! - total, variant.base[0]![0]![at]!];
        assert.ok(
          Math.abs(logProb - wanted) <= LOG_PROB_TOLERANCE * Math.max(1, Math.abs(wanted)),
          `token ${at}: ${logProb}, expected ${wanted}`,
        );
      });
    }));

  Deno.test(`gradientProgram() equals PyTorch's gradients of all weights when the model is ${name}`, () =>
    withBackend(async (backend) => {
      const { model, policy, config } = await load(backend, variant, "all");
      const expected = await storedGradients(name, variant, config, "weights");
      await assertGradients({ model, policy }, variant.base_loss, expected);
    }));

  Deno.test(`openCheckpoint() finds the same model in GGUF when it is ${name}`, async () => {
    const folder = await openVariant(variant);
    const file = await openGgufOf(name);
    // llama.cpp has no architecture of Mistral's own, and no windows of Qwen2's.
    const architecture = name === "mistral" ? "llama" : name;
    const { windows, ...config } = folder.config;
    const kept = name === "qwen2" || !windows ? {} : { windows };
    // Files hold no score scale: it is that of the head's size.
    const scale = name.startsWith("gemma") ? { scoreScale: config.headDim ** -0.5 } : {};
    assert.deepEqual(file.config, { ...config, ...kept, ...scale, architecture });
    await assertSameTensors(folder, file);
  });

  Deno.test(`writeCheckpoint() writes what openCheckpoint() reads when the model is ${name}`, async () => {
    const folder = await openVariant(variant);
    const tensors = new Map(
      await Promise.all(
        [...folder.tensors].map(async ([key, tensor]) =>
          [key, { shape: tensor.shape, data: await readAsFloat32(tensor) }] as const
        ),
      ),
    );
    const files = writeCheckpoint(folder.config, tensors);
    const read = await openCheckpoint(
      Object.fromEntries(
        Object.entries(files).map(([key, bytes]) => [key, bytesSource(key, bytes)]),
      ),
    );
    assert.deepEqual(read.config, folder.config);
    await assertSameTensors(folder, read);
  });
}

Deno.test("LocalPolicy.files() names GPT-2's layers as peft does", () =>
  withBackend(async (backend) => {
    const checkpoint = await openVariant(variants["gpt2"]!);
    const files = async (targets: readonly string[]) => {
      const lora = { rank: 2, alpha: 4, targets };
      const model = await LanguageModel.load(checkpoint, backend, {
        template: "none",
        trainable: { kind: "lora", lora },
      });
      return await (await model.policy()).files();
    };
    const json = (all: Record<string, Uint8Array>) =>
      JSON.parse(new TextDecoder().decode(all["adapter_config.json"]));
    const all = json(await files(["all-linear"]));
    assert.deepEqual(all.target_modules, ["c_attn", "c_fc", "c_proj"]);
    assert.equal(all.fan_in_fan_out, true);
    // c_proj alone would be the feed-forward layer's too.
    const one = await files(["attn.c_proj"]);
    assert.deepEqual(json(one).target_modules, ["attn.c_proj"]);
    const sources = Object.fromEntries(
      Object.entries(one).map(([name, bytes]) => [name, bytesSource(name, bytes)]),
    );
    const { lora, tensors } = await loadAdapter(sources, checkpoint.config);
    assert.deepEqual(lora.targets, ["attn.c_proj"]);
    assert.equal(tensors.size, 2 * checkpoint.config.layers);
    await assert.rejects(files(["q_proj"]), {
      name: "RangeError",
      message:
        "Cannot adapt the model as each target must be all-linear or one of c_attn, c_proj, c_fc: q_proj",
    });
  }));

Deno.test("LocalPolicy refuses texts that dynamic rotary scaling would stretch", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, variants["llama_dynamic"]!, "none");
    const prompt = { id: "long", content: Array(60).fill(3).join(" ") };
    const message =
      "as prompt long and its response must fit the 64 positions that dynamic rotary scaling leaves as they are: 60 + 5";
    const responses = [{ text: "", tokenIds: Array(5).fill(4) }];
    await assert.rejects(Array.fromAsync(policy.logProbs([{ prompt, responses }])), {
      name: "RangeError",
      message: `Cannot score ${message}`,
    });
    const options = { samples: 1, temperature: 0, topP: 1, maxTokens: 5, seed: 0 };
    await assert.rejects(Array.fromAsync(policy.sample([prompt], options)), {
      name: "RangeError",
      message: `Cannot sample ${message}`,
    });
  }));

async function assertSameTensors(expected: Checkpoint, found: Checkpoint): Promise<void> {
  assert.deepEqual([...found.tensors.keys()], [...expected.tensors.keys()]);
  for (const [key, tensor] of expected.tensors) {
    const wanted = await readAsFloat32(tensor);
    const values = await readAsFloat32(found.tensors.get(key)!);
    const shifted = found.format === "gguf" && found.config.architecture.startsWith("gemma") &&
      key.endsWith("norm.weight");
    const tolerance = shifted ? GGUF_NORM_TOLERANCE : 0;
    const far = wanted.findIndex((value, at) => Math.abs(value - values[at]!) > tolerance);
    assert.equal(far, -1, `${key}[${far}]: ${values[far]}, expected ${wanted[far]}`);
  }
}
