/**
 * Rotary positions in a `config.json`: `rope_theta` with `rope_scaling` (transformers up to 4), or
 * `rope_parameters` (from 5 on), for all layers or for each kind of layers.
 *
 * @module
 */

import {
  type DecoderConfig,
  type RopeScaling,
  type RotaryPositions,
  yarnAttentionFactor,
} from "../architectures/mod.ts";
import { asRecord, type Fields, fieldsOf } from "./config_fields.ts";

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/**
 * The positions that a configuration asks for.
 *
 * @param maxPositions `max_position_embeddings`.
 * @throws {RangeError} If the kind of scaling is not supported.
 */
export function ropePositions(json: Json, fields: Fields, maxPositions: number): RotaryPositions {
  const parameters = asRecord(json["rope_parameters"]);
  const full = "full_attention" in parameters
    ? asRecord(parameters["full_attention"])
    : { ...parameters, ...asRecord(json["rope_scaling"]) };
  const partial = json["partial_rotary_factor"] ?? full["partial_rotary_factor"] ?? 1;
  fields.refuseUnless("partial_rotary_factor", partial === 1, partial);
  const scaling = ropeScaling(full, json, fields, maxPositions);
  const gemma = json["model_type"] === "gemma3_text";
  const inner = fieldsOf(`${fields.where}'s rope parameters`, (key) => full[key] ?? json[key]);
  const windowed = asRecord(parameters["sliding_attention"]);
  const kind = windowed["rope_type"] ?? "default";
  fields.refuseUnless("rope_type of sliding_attention", kind === "default", kind);
  const windowTheta = windowed["rope_theta"] ?? json["rope_local_base_freq"];
  return {
    kind: "rotary",
    theta: inner.number("rope_theta", gemma ? 1_000_000 : 10_000),
    ...(scaling ? { scaling } : {}),
    ...(gemma ? { windowTheta: typeof windowTheta === "number" ? windowTheta : 10_000 } : {}),
  };
}

function ropeScaling(
  rope: Json,
  json: Json,
  fields: Fields,
  maxPositions: number,
): RopeScaling | undefined {
  const kind = rope["rope_type"] ?? rope["type"] ?? "default";
  const { number, optionalNumber } = fieldsOf(`${fields.where}'s rope scaling`, (key) => rope[key]);
  /** Phi's place for it comes first in transformers, too. */
  const original = () =>
    fields.optionalNumber("original_max_position_embeddings") ??
      number("original_max_position_embeddings", maxPositions);
  switch (kind) {
    case "default":
      return undefined;
    case "linear":
      // Gemma 3's configurations say the stretched length.
      return {
        kind: "linear",
        factor: number("factor"),
        originalPositions: json["model_type"] === "gemma3_text"
          ? maxPositions / number("factor")
          : maxPositions,
      };
    case "dynamic":
      return { kind: "dynamic", factor: number("factor"), originalPositions: maxPositions };
    case "yarn": {
      const originalPositions = original();
      const factor = number("factor", maxPositions / originalPositions);
      const [scale, scaleAll] = [optionalNumber("mscale"), optionalNumber("mscale_all_dim")];
      const scaled = (by: number) => factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1;
      return {
        kind: "yarn",
        factor,
        originalPositions,
        attentionFactor: number(
          "attention_factor",
          scale && scaleAll ? scaled(scale) / scaled(scaleAll) : yarnAttentionFactor(factor),
        ),
        betaFast: number("beta_fast", 32),
        betaSlow: number("beta_slow", 1),
        truncate: rope["truncate"] !== false,
      };
    }
    case "llama3":
      return {
        kind: "llama3",
        factor: number("factor"),
        originalPositions: original(),
        lowFrequencyFactor: number("low_freq_factor"),
        highFrequencyFactor: number("high_freq_factor"),
      };
    default:
      fields.refuseUnless("rope_scaling", false, kind);
  }
}

/** The fields that `config.json` has for rotary positions, in the form that all versions read. */
export function ropeToHuggingFace(
  { theta, windowTheta, scaling }: RotaryPositions,
  { architecture, maxPositions }: DecoderConfig,
): Record<string, unknown> {
  const original = architecture !== "gemma3" &&
    (scaling?.kind === "linear" || scaling?.kind === "dynamic");
  return {
    max_position_embeddings: original ? scaling.originalPositions : maxPositions,
    rope_theta: theta,
    rope_scaling: scaling ? scalingFields(scaling) : null,
    ...(windowTheta === undefined ? {} : { rope_local_base_freq: windowTheta }),
  };
}

function scalingFields(scaling: RopeScaling): Record<string, unknown> {
  const { kind, factor } = scaling;
  const common = { rope_type: kind, factor };
  switch (kind) {
    case "linear":
    case "dynamic":
      return common;
    case "yarn":
      return {
        ...common,
        original_max_position_embeddings: scaling.originalPositions,
        attention_factor: scaling.attentionFactor,
        beta_fast: scaling.betaFast,
        beta_slow: scaling.betaSlow,
        truncate: scaling.truncate,
      };
    case "llama3":
      return {
        ...common,
        original_max_position_embeddings: scaling.originalPositions,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
      };
    default:
      return scaling satisfies never;
  }
}
