import { strict as assert } from "node:assert";
import { readAsFloat32 } from "../../../graph/tensor_source.ts";
import { openCheckpoint } from "../../../models/checkpoints/open.ts";
import { layoutOf } from "../../../models/architectures/mod.ts";
import {
  type AdapterConfig,
  checkAdapterFits,
  readAdapter,
  writeAdapter,
} from "../../../models/checkpoints/peft.ts";
import type { FloatTensor } from "../../../models/checkpoints/safetensors.ts";
import { openCheckpointFiles } from "../../../cli/file_source.ts";
import { sources, tinyConfig } from "../_files.ts";

const config: AdapterConfig = {
  rank: 3,
  alpha: 6,
  rsLora: false,
  dropout: 0,
  baseModel: "owner/tiny",
};

const linearLayers = [...layoutOf(tinyConfig).linear.values()];

function adapterTensors(layers: readonly (readonly [number, string])[]): Map<string, FloatTensor> {
  const tensors = new Map<string, FloatTensor>();
  const random = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i + length));
  for (const [index, name] of layers) {
    const { outputs: out, inputs: inner } = linearLayers.find(({ path }) => path === name)!;
    const layer = `model.layers.${index}.${name}`;
    tensors.set(`${layer}.lora_A.weight`, { shape: [3, inner], data: random(3 * inner) });
    tensors.set(`${layer}.lora_B.weight`, { shape: [out, 3], data: random(out * 3) });
  }
  return tensors;
}

const everyLayer = [0, 1].flatMap((index) =>
  linearLayers.map(({ path }) => [index, path] as const)
);

Deno.test("readAdapter() gives back what writeAdapter() wrote", async () => {
  const tensors = adapterTensors(everyLayer);
  const files = writeAdapter(tensors, config);
  const adapter = await readAdapter(sources({ ...files }));
  assert.deepEqual(adapter.config, config);
  assert.deepEqual(new Set(adapter.tensors.keys()), new Set(tensors.keys()));
  for (const [name, { shape, data }] of tensors) {
    const source = adapter.tensors.get(name)!;
    assert.equal(source.name, name);
    assert.deepEqual(source.shape, shape);
    assert.deepEqual(await readAsFloat32(source), data);
  }
  checkAdapterFits(new Map([...tensors].map(([name, { shape }]) => [name, shape])), tinyConfig);
});

Deno.test("writeAdapter() names the layers for PEFT when all blocks or only some are adapted", () => {
  const targets = (layers: readonly (readonly [number, string])[]) => {
    const files = writeAdapter(adapterTensors(layers), config);
    return JSON.parse(new TextDecoder().decode(files["adapter_config.json"])).target_modules;
  };
  assert.deepEqual(targets([[0, "self_attn.q_proj"], [1, "self_attn.q_proj"]]), ["q_proj"]);
  assert.deepEqual(targets([[1, "self_attn.q_proj"]]), ["model.layers.1.self_attn.q_proj"]);
  assert.deepEqual(targets([[0, "mlp.up_proj"], [1, "self_attn.q_proj"]]), [
    "model.layers.0.mlp.up_proj",
    "model.layers.1.self_attn.q_proj",
  ]);
});

Deno.test("writeAdapter() refuses tensors that do not pair up", () => {
  const tensors = adapterTensors([[0, "mlp.up_proj"]]);
  tensors.delete("model.layers.0.mlp.up_proj.lora_B.weight");
  assert.throws(
    () => writeAdapter(tensors, config),
    /^RangeError: Cannot write the adapter as model.layers.0.mlp.up_proj.lora_A.weight must have its partner model.layers.0.mlp.up_proj.lora_B.weight: it is absent$/,
  );
  assert.throws(
    () => writeAdapter(adapterTensors([[0, "mlp.up_proj"]]), { ...config, rank: 4 }),
    /must have shape \[4, in\]: \[3, 8\]$/,
  );
  assert.throws(() => writeAdapter(new Map(), config), /must adapt at least one layer: none$/);
});

Deno.test("readAdapter() names what it does not support", async () => {
  const files = writeAdapter(adapterTensors(everyLayer), config);
  const json = JSON.parse(new TextDecoder().decode(files["adapter_config.json"]));
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ peft_type: "IA3" }, /peft_type must be LORA: "IA3"$/],
    [{ use_dora: true }, /use_dora is not supported yet: true$/],
    [{ rank_pattern: { q_proj: 8 } }, /rank_pattern is not supported yet/],
    [{ modules_to_save: ["lm_head"] }, /modules_to_save is not supported yet/],
    [{ bias: "all" }, /bias must be none: "all"$/],
    [{ init_lora_weights: "pissa" }, /init_lora_weights must leave the base weights alone/],
    [{ r: 5 }, /must have shape \[5, in\]/],
  ];
  for (const [over, message] of cases) {
    const changed = new TextEncoder().encode(JSON.stringify({ ...json, ...over }));
    await assert.rejects(
      readAdapter(sources({ ...files, "adapter_config.json": changed })),
      message,
    );
  }
  await assert.rejects(readAdapter({}), /^Error: Cannot read the adapter as it must have adapter/);
});

Deno.test("checkAdapterFits() refuses an adapter of another model", () => {
  const shapes = (name: string, shape: readonly number[]) => new Map([[name, shape]]);
  assert.throws(
    () => checkAdapterFits(shapes("model.layers.7.mlp.up_proj.lora_A.weight", [3, 8]), tinyConfig),
    /each of its layers must be a linear layer of the model: model.layers.7.mlp.up_proj/,
  );
  assert.throws(
    () => checkAdapterFits(shapes("model.layers.0.mlp.up_proj.lora_A.weight", [3, 9]), tinyConfig),
    /must go with a layer \[6, 8\]: \[3, 9\]$/,
  );
});

const parity = (name: string) =>
  decodeURIComponent(new URL(`../../parity/data/${name}`, import.meta.url).pathname);

Deno.test("readAdapter() reads what peft wrote for the model that transformers wrote", async () => {
  using model = await openCheckpointFiles(parity("tiny_llama"));
  using adapterFiles = await openCheckpointFiles(parity("tiny_llama_adapter"));
  const { config: llama, tensors } = await openCheckpoint(model.files);
  assert.equal(tensors.size, 2 + 9 * llama.layers);
  assert.deepEqual(llama.positions, { kind: "rotary", theta: 10_000 });
  const adapter = await readAdapter(adapterFiles.files);
  assert.deepEqual([adapter.config.rank, adapter.config.alpha], [4, 8]);
  assert.equal(adapter.tensors.size, 2 * 7 * llama.layers);
  const shapes = new Map([...adapter.tensors].map(([name, { shape }]) => [name, shape]));
  checkAdapterFits(shapes, llama);
});

Deno.test("openCheckpoint() reads an untied model that transformers wrote", async () => {
  using files = await openCheckpointFiles(parity("tiny_llama_untied"));
  const { config: llama, tensors } = await openCheckpoint(files.files);
  assert.deepEqual(llama.positions, { kind: "rotary", theta: 5000 });
  assert.deepEqual(tensors.get("lm_head.weight")!.shape, [67, 32]);
});
