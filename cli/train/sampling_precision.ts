/**
 * `--precision`: with which arithmetic responses are sampled.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import { choosePrecision } from "../../models/generation/choose_precision.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { LanguageModelOptions } from "../../models/language_model_options.ts";
import type { LoadContext } from "../load_model.ts";

/** What is known when the precision is settled. */
export interface PrecisionArguments {
  /** The option. */
  readonly precision: "auto" | Precision;
  readonly checkpoint: Checkpoint;
  readonly backend: Backend;
  readonly trainable?: LanguageModelOptions["trainable"];
  /** Whether weights stay encoded in float32 too. */
  readonly keepEncoded: boolean;
  /** Responses that are decoded side by side. */
  readonly rows: number;
}

/**
 * The precision asked for, or for `auto` the one that is faster here; a line says what was measured.
 * Weights that are trained are sampled in float32.
 */
export async function settlePrecision(
  { precision, checkpoint, backend, trainable = { kind: "none" }, keepEncoded, rows }:
    PrecisionArguments,
  { progress, signal }: LoadContext,
): Promise<Precision> {
  if (precision !== "auto") return precision;
  if (trainable.kind === "all") return "float32";
  const chosen = await choosePrecision(checkpoint, backend, {
    ...{ rows, keepEncoded, signal },
    ...(trainable.kind === "lora" ? { lora: trainable.lora } : {}),
  });
  if (chosen.milliseconds) {
    const { float32, fast } = chosen.milliseconds;
    progress.line(
      `Sampling with --precision ${chosen.precision}: ${rows} rows through the first blocks take ` +
        `${fast.toFixed(1)} ms fast, ${float32.toFixed(1)} ms in float32`,
    );
  }
  return chosen.precision;
}
