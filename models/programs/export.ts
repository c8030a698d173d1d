/**
 * The decode program in the form in which decoders are given to other runtimes.
 *
 * @module
 */

import { type Program, ProgramBuilder } from "../../graph/mod.ts";
import { type DecoderConfig, decoderHidden, vocabularyLogits } from "../architectures/mod.ts";
import { CACHE } from "./decode.ts";

/**
 * Logits [batch_size, sequence_length, V] of every new token, over caches that hold
 * `past_sequence_length` tokens. Whoever writes it down makes the caches longer at each run, and takes
 * the inputs `past` and `count` from an attention mask; see `backends/onnx/export_decoder.ts`.
 */
export function exportProgram(config: DecoderConfig): Program {
  const g = new ProgramBuilder("decoder");
  const ids = g.input("input_ids", "int32", ["batch_size", "sequence_length"]);
  const positions = g.input("position_ids", "int32", ["batch_size", "sequence_length"]);
  const past = g.input("past", "int32", ["batch_size"]);
  const count = g.input("count", "int32", ["batch_size"]);
  const cache = ["batch_size", config.kvHeads, "past_sequence_length", config.headDim];
  const hidden = decoderHidden(g, config, {
    ids,
    positions,
    attend(layer, query, key, value, settings) {
      const keys = g.parameter(CACHE, `${layer}.key`, cache);
      const values = g.parameter(CACHE, `${layer}.value`, cache);
      const result = g.cachedAttention({ query, key, value, keys, values, past, count }, settings);
      g.update(CACHE, `${layer}.key`, result.keys);
      g.update(CACHE, `${layer}.value`, result.values);
      return result.output;
    },
  });
  g.output("logits", vocabularyLogits(g, config, hidden));
  return g.build();
}
