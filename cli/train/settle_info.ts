/**
 * The training command that `sppo info` is asked about.
 *
 * @module
 */

import { resolveValues } from "../options/parse.ts";
import type { SomeValues, Values } from "../options/spec.ts";
import { infoOptions, presets } from "../options/tables.ts";

/** Options that always have a value, from the preset where nobody gave one. */
type Preset = "trainable" | "optimizer" | "epochs" | "batch";

/** Values of the options. */
export type InfoValues =
  & Values<typeof infoOptions>
  & { readonly [K in Preset]: NonNullable<Values<typeof infoOptions>[K]> };

/**
 * Settles options, as `sppo train` does.
 *
 * @param given Values of the flags, and of the configuration file, the first counting.
 */
export function settleInfo(given: readonly SomeValues<typeof infoOptions>[]): InfoValues {
  const preset = given.find((layer) => layer.preset !== undefined)?.preset ?? "lora";
  return resolveValues(infoOptions, [...given, presets[preset]]) as InfoValues;
}
