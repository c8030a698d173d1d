/**
 * `--precision` and `--sampled-adapter`: with which arithmetic responses are sampled, and how the adapter
 * takes part.
 *
 * @module
 */

import type { Backend } from "../../graph/backend.ts";
import type { Checkpoint } from "../../models/checkpoints/open.ts";
import {
  chooseSampling,
  FEWEST_MERGED_STEPS,
  type SamplingWay,
} from "../../models/generation/choose_sampling.ts";
import type { Precision } from "../../models/generation/precision.ts";
import type { SampledAdapter } from "../../models/generation/sampled_adapter.ts";
import type { LanguageModelOptions } from "../../models/language_model_options.ts";
import type { LoadContext } from "../load_model.ts";

/** How responses are sampled. */
export interface SettledSampling {
  readonly precision: Precision;
  readonly sampledAdapter: SampledAdapter;
}

/** What is known when it is settled. */
export interface SamplingArguments {
  /** The options. */
  readonly precision: "auto" | Precision;
  readonly sampledAdapter: "auto" | SampledAdapter;
  readonly checkpoint: Checkpoint;
  readonly backend: Backend;
  readonly trainable?: LanguageModelOptions["trainable"];
  /** Whether weights stay encoded in float32 too. */
  readonly keepEncoded: boolean;
  /** Responses that are decoded side by side. */
  readonly rows: number;
  /** Decoding steps that each policy is expected to take; 0 where nothing is sampled. */
  readonly stepsPerPolicy: number;
}

/** Whether an adapter is or may be merged, for which there must be memory. */
export function mayMerge(
  { lora, precision, sampledAdapter, keepEncoded, stepsPerPolicy }:
    & Pick<SamplingArguments, "precision" | "sampledAdapter" | "keepEncoded" | "stepsPerPolicy">
    & { readonly lora: boolean },
): boolean {
  if (!lora || precision === "fast" || keepEncoded || sampledAdapter === "apart") return false;
  return sampledAdapter === "merged" || stepsPerPolicy >= FEWEST_MERGED_STEPS;
}

const WORDS = { fast: "fast", float32: "in float32", merged: "merged" } as const satisfies Record<
  SamplingWay,
  string
>;

/**
 * What was asked for, or for `auto` what is faster here; a line says what was measured. Weights that are
 * trained are sampled in float32.
 */
export async function settleSampling(
  { precision, sampledAdapter, trainable = { kind: "none" }, ...given }: SamplingArguments,
  { progress, signal }: LoadContext,
): Promise<SettledSampling> {
  const lora = trainable.kind === "lora" ? trainable.lora : undefined;
  const fixed = {
    ...(trainable.kind === "all" && precision === "auto" ? { precision: "float32" as const } : {}),
    ...(precision === "auto" ? {} : { precision }),
    ...(sampledAdapter === "auto" ? {} : { sampledAdapter }),
  };
  const { checkpoint, backend, rows, ...measuring } = given;
  const chosen = await chooseSampling(checkpoint, backend, {
    ...{ ...measuring, rows, ...fixed, signal },
    ...(lora ? { lora } : {}),
  });
  if (chosen.milliseconds) {
    const took = Object.entries(chosen.milliseconds)
      .map(([way, ms]) => `${ms.toFixed(1)} ms ${WORDS[way as SamplingWay]}`);
    const ways = [
      ...fixed.precision === undefined ? [`--precision ${chosen.precision}`] : [],
      ...chosen.milliseconds.merged === undefined
        ? []
        : [`--sampled-adapter ${chosen.sampledAdapter}`],
    ];
    const merging = chosen.merging === undefined
      ? ""
      : `, and merging ${chosen.merging.toFixed(0)} ms once a policy`;
    progress.line(
      `Sampling with ${ways.join(" ")}: ${rows} rows through the first blocks take ${
        took.join(", ")
      }${merging}`,
    );
  }
  const { precision: settled, sampledAdapter: adapter } = chosen;
  return { precision: settled, sampledAdapter: adapter };
}
