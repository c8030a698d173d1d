/**
 * LoRA adapters in the files of Hugging Face PEFT: `adapter_config.json` and
 * `adapter_model.safetensors`.
 *
 * A LoRA on a linear layer W [out, in] adds s·B·A with A [r, in] and B [out, r]; s = α/r, or α/√r
 * with rank-stabilised scaling. Here a tensor is called by its layer
 * (`model.layers.0.self_attn.q_proj.lora_A.weight`); PEFT's files put `base_model.model.` before it.
 *
 * Source: huggingface/peft `src/peft/tuners/lora/config.py`, `src/peft/utils/save_and_load.py`.
 *
 * @module
 */

import type { TensorSource } from "../../graph/tensor_source.ts";
import { type DecoderConfig, linearLayers } from "../architectures/mod.ts";
import { type ByteSource, readJsonObject, type ReadOptions } from "./byte_source.ts";
import { renamed } from "./names.ts";
import { type FloatTensor, openSafetensors, ownFile, writeSafetensors } from "./safetensors.ts";

/** What defines an adapter beside its tensors. */
export interface AdapterConfig {
  /** r, the inner size of every pair. */
  readonly rank: number;
  /** α. */
  readonly alpha: number;
  /** Scale by α/√r instead of α/r. `false` by default. */
  readonly rsLora?: boolean;
  /** Dropout that training used; it plays no part afterwards. 0 by default. */
  readonly dropout?: number;
  /** Hub name or folder of the model that the adapter goes with. */
  readonly baseModel?: string;
  /** PEFT's `target_modules`; found from the tensors' names where absent. */
  readonly targets?: readonly string[];
  /** Whether the model's own weights are stored as [in, out], as GPT-2's. */
  readonly fanInFanOut?: boolean;
}

/** An adapter that was read. */
export interface Adapter {
  /** Rank, scale and what it goes with. */
  readonly config: AdapterConfig;
  /** `<layer>.lora_A.weight` [r, in] and `<layer>.lora_B.weight` [out, r], in pairs. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
}

/** The two files of an adapter. */
export interface AdapterFiles {
  /** Rank, scale and layers, as JSON. */
  readonly "adapter_config.json": Uint8Array;
  /** The pairs A and B, as safetensors. */
  readonly "adapter_model.safetensors": Uint8Array;
}

const CONFIG_FILE = "adapter_config.json";
const TENSOR_FILE = "adapter_model.safetensors";
const PREFIX = "base_model.model.";
const MAX_CONFIG_BYTES = 16 << 20;

/**
 * Writes an adapter, the same bytes for the same values.
 *
 * @param tensors Pairs by the names of {@linkcode Adapter}.
 * @throws {RangeError} If tensors do not pair up or have another rank than `config`.
 */
export function writeAdapter(
  tensors: ReadonlyMap<string, FloatTensor>,
  config: AdapterConfig,
): AdapterFiles {
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  const layers = checkPairs(shapes, config.rank, "write the adapter");
  const json = {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: config.baseModel ?? null,
    bias: "none",
    fan_in_fan_out: config.fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout ?? 0,
    modules_to_save: null,
    peft_type: "LORA",
    r: config.rank,
    rank_pattern: {},
    revision: null,
    target_modules: config.targets ? [...config.targets].sort() : targetModules(layers),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: config.rsLora ?? false,
  };
  const prefixed = new Map([...tensors].map(([name, tensor]) => [PREFIX + name, tensor]));
  return {
    [CONFIG_FILE]: new TextEncoder().encode(JSON.stringify(json, null, 2) + "\n"),
    [TENSOR_FILE]: writeSafetensors(prefixed),
  };
}

/**
 * What PEFT is to match: the layers' last names where every block has the same ones (as PEFT itself
 * writes), the full names otherwise.
 */
function targetModules(layers: readonly string[]): readonly string[] {
  const perBlock = new Map<string, string[]>();
  for (const layer of layers) {
    const match = /^(?:model\.layers|transformer\.h)\.(\d+)\.(.+)$/.exec(layer);
    if (!match) return [...layers].sort();
    perBlock.set(match[1]!, [...perBlock.get(match[1]!) ?? [], match[2]!]);
  }
  const blocks = [...perBlock].map(([index, names]) => ({ index: Number(index), names }));
  const names = new Set(blocks.map((block) => block.names.sort().join()));
  const gapless = blocks.every(({ index }) => index < blocks.length);
  if (names.size !== 1 || !gapless) return [...layers].sort();
  return blocks[0]!.names.map((name) => name.split(".").pop()!).sort();
}

/** Options of `adapter_config.json` that change what the tensors mean; all must be off. */
const UNSUPPORTED = [
  "alora_invocation_tokens",
  "alpha_pattern",
  "kasa_config",
  "layer_replication",
  "lora_bias",
  "modules_to_save",
  "monteclora_config",
  "rank_pattern",
  "target_parameters",
  "trainable_token_indices",
  "use_bdlora",
  "use_dora",
  "use_qalora",
  "velora_config",
];

/** Ways of starting that change the base weights, so that the adapter does not fit the originals. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/;

/**
 * Reads an adapter's configuration and its tensors' descriptions.
 *
 * @throws {Error} If a file is absent.
 * @throws {RangeError} If the adapter is not a plain LoRA or its tensors do not pair up.
 */
export async function readAdapter(
  files: Readonly<Record<string, ByteSource>>,
  options: ReadOptions = {},
): Promise<Adapter> {
  const required = (name: string): ByteSource => {
    const file = ownFile(files, name);
    if (!file) throw new Error(`Cannot read the adapter as it must have ${name}: it is absent`);
    return file;
  };
  const configFile = required(CONFIG_FILE);
  const json = await readJsonObject(configFile, { ...options, maxBytes: MAX_CONFIG_BYTES });
  const config = parseConfig(json);
  const { tensors: stored, others } = await openSafetensors(required(TENSOR_FILE), options);
  const tensors = new Map<string, TensorSource>();
  for (const name of [...stored.keys(), ...others.keys()]) {
    const source = stored.get(name);
    if (!source || !name.startsWith(PREFIX)) {
      throw new RangeError(
        `Cannot read the adapter as every tensor must be a float one named ${PREFIX}…: ${name}`,
      );
    }
    const own = name.slice(PREFIX.length);
    tensors.set(own, renamed(source, own));
  }
  const shapes = new Map([...tensors].map(([name, { shape }]) => [name, shape]));
  checkPairs(shapes, config.rank, "read the adapter");
  return { config, tensors };
}

function parseConfig(json: Readonly<Record<string, unknown>>): AdapterConfig {
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot read ${CONFIG_FILE} as ${rule}: ${JSON.stringify(found)}`);
  };
  const { peft_type: type, r, lora_alpha: alpha, bias = "none", lora_dropout: dropout = 0 } = json;
  if (type !== "LORA") fail("peft_type must be LORA", type);
  if (!Number.isSafeInteger(r) || (r as number) < 1) fail("r must be a whole number from 1 on", r);
  if (typeof alpha !== "number") fail("lora_alpha must be a number", alpha);
  if (typeof dropout !== "number") fail("lora_dropout must be a number", dropout);
  if (bias !== "none") fail("bias must be none", bias);
  for (const key of UNSUPPORTED) {
    const value = json[key];
    const empty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (value && !empty) fail(`${key} is not supported yet`, value);
  }
  const start = json["init_lora_weights"];
  if (typeof start === "string" && CHANGES_BASE.test(start)) {
    fail("init_lora_weights must leave the base weights alone", start);
  }
  const base = json["base_model_name_or_path"];
  return {
    rank: r as number,
    alpha: alpha as number,
    rsLora: json["use_rslora"] === true,
    dropout: dropout as number,
    ...(typeof base === "string" ? { baseModel: base } : {}),
  };
}

/** Checks that each layer has A [r, in] and B [out, r]; returns the layers. */
function checkPairs(
  shapes: ReadonlyMap<string, readonly number[]>,
  rank: number,
  doing: string,
): readonly string[] {
  const fail = (rule: string, found: unknown): never => {
    throw new RangeError(`Cannot ${doing} as ${rule}: ${found}`);
  };
  const layers = new Set<string>();
  for (const [name, shape] of shapes) {
    const match = /^(.+)\.lora_([AB])\.weight$/.exec(name);
    if (!match) fail("every tensor must be a layer's lora_A.weight or lora_B.weight", name);
    const [, layer, side] = match!;
    layers.add(layer!);
    if (shape.length !== 2 || shape[side === "A" ? 0 : 1] !== rank) {
      const form = side === "A" ? `[${rank}, in]` : `[out, ${rank}]`;
      fail(`${name} must have shape ${form}`, `[${shape.join(", ")}]`);
    }
    const other = `${layer}.lora_${side === "A" ? "B" : "A"}.weight`;
    if (!shapes.has(other)) fail(`${name} must have its partner ${other}`, "it is absent");
  }
  if (layers.size === 0) fail("it must adapt at least one layer", "none");
  return [...layers];
}

/**
 * Checks that an adapter goes with a model: each of its layers is a linear layer of the model with
 * the same sizes.
 *
 * @throws {RangeError} If one is not.
 */
export function checkAdapterFits(
  shapes: ReadonlyMap<string, readonly number[]>,
  config: DecoderConfig,
): void {
  const layers = linearLayers(config);
  for (const [name, shape] of shapes) {
    const match = /^(.+)\.lora_([AB])\.weight$/.exec(name);
    const linear = match ? layers.get(match[1]!) : undefined;
    if (!linear) {
      throw new RangeError(
        `Cannot apply the adapter as each of its layers must be a linear layer of the model: ${name}`,
      );
    }
    const { outputs, inputs } = linear;
    const fits = match![2] === "A" ? shape[1] === inputs : shape[0] === outputs;
    if (!fits) {
      throw new RangeError(
        `Cannot apply the adapter as ${name} must go with a layer [${outputs}, ${inputs}]: [${
          shape.join(", ")
        }]`,
      );
    }
  }
}
