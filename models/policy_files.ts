/**
 * Policies as files that other tools read, and back.
 *
 * @module
 */

import type { Store } from "../graph/mod.ts";
import { readAsFloat32 } from "../graph/mod.ts";
import {
  ALL_LINEAR,
  allTargets,
  type DecoderConfig,
  families,
  isTarget,
  layoutOf,
  type LoraShape,
  type NamedShape,
} from "./architectures/mod.ts";
import type { ByteSource } from "./checkpoints/byte_source.ts";
import { type Adapter, checkAdapterFits, readAdapter, writeAdapter } from "./checkpoints/peft.ts";
import type { FloatTensor } from "./checkpoints/safetensors.ts";
import { writeCheckpoint } from "./checkpoints/write.ts";

/** The tensors of a store by name. */
export async function readStore(store: Store, prefix = ""): Promise<Map<string, FloatTensor>> {
  const tensors = new Map<string, FloatTensor>();
  for (const name of store.names) {
    tensors.set(prefix + name, { shape: store.shape(name), data: await store.read(name) });
  }
  return tensors;
}

/**
 * Checks trained tensors by name.
 *
 * @throws {TypeError} When they are not those of the names and shapes that are wanted.
 */
export function checkTrained(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  wanted: readonly NamedShape[],
): void {
  if (tensors.size !== wanted.length) {
    throw new TypeError(
      `Cannot use the trained tensors as there must be ${wanted.length} of them: ${tensors.size}`,
    );
  }
  for (const { name, shape } of wanted) {
    const found = tensors.get(name);
    if (found?.shape.join() === shape.join()) continue;
    throw new TypeError(
      `Cannot use the trained tensors as ${name} must have the shape [${shape.join(", ")}]: ` +
        (found ? `[${found.shape.join(", ")}]` : "missing"),
    );
  }
}

/** A PEFT adapter's two files. */
export async function adapterFiles(
  trained: Store,
  { rank, alpha, rsLora, targets }: LoraShape,
  config: DecoderConfig,
): Promise<Record<string, Uint8Array>> {
  return {
    ...writeAdapter(await readStore(trained), {
      rank,
      alpha,
      ...(rsLora ? { rsLora: true } : {}),
      targets: targets.includes(ALL_LINEAR) ? allTargets(config) : targets,
      fanInFanOut: families[config.architecture].names === "gpt2",
      ...(config.name === undefined ? {} : { baseModel: config.name }),
    }),
  };
}

/** A Hugging Face checkpoint's files. */
export async function checkpointFiles(
  config: DecoderConfig,
  trained: Store,
): Promise<Record<string, Uint8Array>> {
  return writeCheckpoint(config, await readStore(trained));
}

/** An adapter that was read: its shape, which a model is loaded with, and its tensors. */
export interface LoadedAdapter {
  /** Rank, scale and layers. */
  readonly lora: LoraShape;
  /** Values of A and B by name. */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
  /** Hub name or folder of the model it goes with, where it says so. */
  readonly baseModel: string | undefined;
}

/** The layers an adapter is on. @throws {RangeError} When some blocks of the model lack one. */
function targetsOf({ tensors }: Adapter, config: DecoderConfig): string[] {
  const all = [...layoutOf(config).linear.values()];
  const on = all.filter(({ path }) =>
    [...tensors.keys()].some((name) => name.endsWith(`.${path}.lora_A.weight`))
  );
  if (tensors.size !== 2 * on.length * config.layers) {
    throw new RangeError(
      "Cannot use the adapter as it must be on the same layers of every block: " +
        `${tensors.size} tensors on ${
          on.map(({ path }) => path).join(", ")
        } of ${config.layers} blocks`,
    );
  }
  // A short name stands for all layers that end in it.
  const short = allTargets(config).filter((target) =>
    all.every((layer) => !isTarget(layer, [target]) || on.includes(layer))
  );
  return [...short, ...on.filter((layer) => !isTarget(layer, short)).map(({ path }) => path)];
}

/**
 * Reads a PEFT adapter for a model.
 *
 * @param files `adapter_config.json` and `adapter_model.safetensors`.
 * @throws {RangeError} When it is not a plain LoRA or does not fit the model.
 */
export async function loadAdapter(
  files: Readonly<Record<string, ByteSource>>,
  config: DecoderConfig,
): Promise<LoadedAdapter> {
  const adapter = await readAdapter(files);
  checkAdapterFits(new Map([...adapter.tensors].map(([name, { shape }]) => [name, shape])), config);
  const { rank, alpha, rsLora, baseModel } = adapter.config;
  const tensors = new Map<string, FloatTensor>();
  for (const [name, source] of adapter.tensors) {
    tensors.set(name, { shape: source.shape, data: await readAsFloat32(source) });
  }
  const lora = {
    rank,
    alpha,
    targets: targetsOf(adapter, config),
    ...(rsLora ? { rsLora: true } : {}),
  };
  return { lora, tensors, baseModel };
}
