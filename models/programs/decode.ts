/**
 * The decode program: prefill and single steps over key and value caches, to next-token logits.
 *
 * @module
 */

import { type Program, ProgramBuilder } from "../../graph/mod.ts";
import { logitBlockSize } from "../generation/choose_token.ts";
import {
  type Attend,
  type DecoderConfig,
  decoderHidden,
  type LoraShape,
  type NamedShape,
  selectRows,
  vocabularyLogits,
} from "../architectures/mod.ts";

/** Scope of the caches. */
export const CACHE = "cache";

/** Names and shapes of a cache store: keys and values [slots, Hkv, capacity, D] of each layer. */
export function cacheTensors(config: DecoderConfig, slots: number, capacity: number): NamedShape[] {
  const shape = [slots, config.kvHeads, capacity, config.headDim];
  return Array.from({ length: config.layers }, (_, layer) => layer).flatMap((layer) => [
    { name: `keys.${layer}`, shape },
    { name: `values.${layer}`, shape },
  ]);
}

/** Bytes of cache per token of one response. */
export function cacheBytesPerToken({ layers, kvHeads, headDim }: DecoderConfig): number {
  return layers * 2 * kvHeads * headDim * 4;
}

/**
 * Next-token logits after `count` new tokens per row.
 *
 * Inputs: `ids` and `positions` int32 [batch, time]; `past` and `count` int32 [batch] as in
 * `cachedAttention`; `last` int32 [batch], index of each row's last new token in the flattened
 * [batch · time]; `inverse_temperature` float32 [1].
 *
 * Outputs: `logits` [batch, V]; `log_normalizer` [batch], log Σ exp(logits); and `block_maxima` and
 * `block_sums` [batch, V / size], the logits summed up as `Logits` has it.
 *
 * @param capacity Tokens a row of the cache holds.
 */
export function decodeProgram(config: DecoderConfig, capacity: number, lora?: LoraShape): Program {
  const g = new ProgramBuilder("decode");
  const ids = g.input("ids", "int32", ["batch", "time"]);
  const positions = g.input("positions", "int32", ["batch", "time"]);
  const past = g.input("past", "int32", ["batch"]);
  const count = g.input("count", "int32", ["batch"]);
  const last = g.input("last", "int32", ["batch"]);
  const inverseTemperature = g.input("inverse_temperature", "float32", [1]);

  const cache = ["batch", config.kvHeads, capacity, config.headDim];
  const attend: Attend = (layer, query, key, value, settings) => {
    const keys = g.parameter(CACHE, `keys.${layer}`, cache);
    const values = g.parameter(CACHE, `values.${layer}`, cache);
    const result = g.cachedAttention(
      { query, key, value, keys, values, past, count },
      settings,
    );
    g.update(CACHE, `keys.${layer}`, result.keys);
    g.update(CACHE, `values.${layer}`, result.values);
    return result.output;
  };
  const hidden = decoderHidden(g, config, { ids, positions, attend, lora });
  const logits = vocabularyLogits(g, config, selectRows(g, hidden, last)); // [batch, V]
  g.output("logits", logits);

  const size = logitBlockSize(config.vocabSize);
  const blocks = g.reshape(logits, ["batch", config.vocabSize / size, size]);
  const maxima = g.reduceMax(blocks, [2]); // [batch, V / size]
  const most = g.reduceMax(maxima, [1], true); // [batch, 1]
  const centred = g.sub(blocks, g.reshape(most, ["batch", 1, 1]));
  const total = g.reduceSum(g.exp(centred), [1, 2]); // [batch]
  g.output("block_maxima", maxima);
  g.output("block_sums", g.reduceSum(g.exp(g.mul(centred, inverseTemperature)), [2]));
  g.output("log_normalizer", g.add(g.log(total), g.reshape(most, ["batch"])));
  return g.build();
}
