import assert from "node:assert/strict";
import { createOnnxBackend } from "../../../backends/onnx/mod.ts";
import { openEmbeddedPolicy } from "../../../models/embedded/mod.ts";
import { LanguageModel } from "../../../models/mod.ts";

const FILES = new URL("../../../models/embedded/files/", import.meta.url);
const MAX_PARAMETERS = 1.5e6;
const MAX_BYTES = 3e6;

Deno.test("openEmbeddedPolicy() is a Llama of at most 1.5M parameters and 3 MB in float16", async () => {
  const { config, tensors } = await openEmbeddedPolicy();
  let parameters = 0;
  for (const { shape, encoding } of tensors.values()) {
    parameters += shape.reduce((a, b) => a * b, 1);
    assert.equal(encoding, "f16");
  }
  assert.ok(parameters <= MAX_PARAMETERS, `${parameters}`);
  assert.ok(config.vocabSize >= 1000 && config.vocabSize <= 2048);
  let bytes = 0;
  for (const { name } of Deno.readDirSync(FILES)) bytes += Deno.statSync(new URL(name, FILES)).size;
  assert.ok(bytes <= MAX_BYTES, `${bytes}`);
});

Deno.test("openEmbeddedPolicy() answers held-out questions in sentences that end", async () => {
  const backend = await createOnnxBackend();
  try {
    const model = await LanguageModel.load(await openEmbeddedPolicy(), backend);
    const policy = await model.policy();
    const prompts = [
      "What do whales eat?",
      "How do sharks stay safe?",
      "What sound do wolves make?",
    ]
      .map((content, index) => ({ id: `${index}`, content }));
    const options = { samples: 1, temperature: 0, topP: 1, maxTokens: 96, seed: 0 };
    for await (const { prompt, responses } of policy.sample(prompts, options)) {
      const { text, finishReason } = responses[0]!;
      assert.equal(finishReason, "stop");
      assert.match(text, /^[A-Z][a-z]+ .*[.!?]"?$/s, `${prompt.content}: ${text}`);
      const animal = (prompt.content as string).match(/whales|sharks|wolves/)![0];
      assert.match(text.toLowerCase(), new RegExp(animal), `${prompt.content}: ${text}`);
    }
  } finally {
    await backend.dispose();
  }
});
