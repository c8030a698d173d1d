/**
 * A checkpoint of a fit as one safetensors file: the trained tensors, the optimizer's moments and
 * where the fit stands.
 *
 * @module
 */

import type { Store } from "../../graph/mod.ts";
import { readAsFloat32 } from "../../graph/mod.ts";
import { bytesSource } from "../checkpoints/byte_source.ts";
import { readStore } from "../policy_files.ts";
import { type FloatTensor, openSafetensors, writeSafetensors } from "../checkpoints/safetensors.ts";

/** Where a fit stands. */
export interface FitState {
  /** Steps taken. */
  readonly step: number;
  /** Tokens trained on. */
  readonly tokens: number;
}

/** A fit as it was saved. */
export interface Checkpoint extends FitState {
  readonly trained: ReadonlyMap<string, FloatTensor>;
  readonly moments: ReadonlyMap<string, FloatTensor>;
}

const TRAINED = "trained/";
const MOMENTS = "moments/";

/** The tensors of a safetensors file in memory. */
export async function decodeTensors(bytes: Uint8Array): Promise<Map<string, FloatTensor>> {
  const { tensors } = await openSafetensors(bytesSource("the saved tensors", bytes));
  const decoded = new Map<string, FloatTensor>();
  for (const [name, source] of tensors) {
    decoded.set(name, { shape: source.shape, data: await readAsFloat32(source) });
  }
  return decoded;
}

/**
 * The trained tensors of a store, to be kept.
 *
 * @throws {RangeError} When a value is not finite, naming its tensor: it would spoil what was kept before.
 */
export async function readTrained(
  trained: Store,
  step: number,
  prefix = "",
): Promise<Map<string, FloatTensor>> {
  const tensors = await readStore(trained, prefix);
  for (const [name, { data }] of tensors) {
    for (let i = 0; i < data.length; i++) {
      if (Number.isFinite(data[i]!)) continue;
      throw new RangeError(
        `Cannot keep the fit after step ${step} as trained values must be finite: ` +
          `${name.slice(prefix.length)} has ${data[i]} ` +
          "(the last checkpoint is kept; a lower learning rate may help)",
      );
    }
  }
  return tensors;
}

/** A fit as bytes. @throws {RangeError} When a trained value is not finite. */
export async function encodeCheckpoint(
  state: FitState,
  { trained, moments }: { readonly trained: Store; readonly moments: Store },
): Promise<Uint8Array> {
  const tensors = new Map([
    ...await readTrained(trained, state.step, TRAINED),
    ...await readStore(moments, MOMENTS),
  ]);
  return writeSafetensors(tensors, {
    metadata: { format: "pt", step: `${state.step}`, tokens: `${state.tokens}` },
  });
}

/** The fit in bytes of {@linkcode encodeCheckpoint}. @throws {SyntaxError} When they are not that. */
export async function decodeCheckpoint(bytes: Uint8Array): Promise<Checkpoint> {
  const { metadata } = await openSafetensors(bytesSource("the checkpoint of the fit", bytes));
  const step = Number(metadata.get("step"));
  const tokens = Number(metadata.get("tokens"));
  if (!Number.isSafeInteger(step) || !Number.isSafeInteger(tokens)) {
    throw new SyntaxError(
      `Cannot read the checkpoint of the fit as it must say its step: ${
        metadata.get("step") ?? "nothing"
      }`,
    );
  }
  const trained = new Map<string, FloatTensor>();
  const moments = new Map<string, FloatTensor>();
  for (const [name, tensor] of await decodeTensors(bytes)) {
    if (name.startsWith(TRAINED)) trained.set(name.slice(TRAINED.length), tensor);
    if (name.startsWith(MOMENTS)) moments.set(name.slice(MOMENTS.length), tensor);
  }
  return { step, tokens, trained, moments };
}
