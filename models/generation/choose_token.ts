/**
 * Chooses the next token from logits: temperature, then top-k, top-p and min-p, as Hugging Face's
 * logits processors order them.
 *
 * @module
 */

/** How to choose; ranges as in `SampleOptions`. */
export interface ChoiceOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** 1 keeps all. */
  readonly topP: number;
  /** 0 keeps all. */
  readonly topK: number;
  /** 0 keeps all. */
  readonly minP: number;
}

/** Logits of one row, summed up in blocks of as many tokens each, so that most are never looked at. */
export interface Logits {
  /** [V]. */
  readonly values: Float32Array;
  /** [V / size], the largest value of each block. */
  readonly maxima: Float32Array;
  /** [V / size], Σ exp((value − m) / temperature) of each block, m being the largest value of all. */
  readonly sums: Float32Array;
}

const SMALLEST_BLOCK = 16;
const LARGEST_BLOCK = 128;

/**
 * Tokens of a block: the largest divisor of the vocabulary's size from 16 to 128, or all tokens.
 *
 * @example
 * ```ts
 * import { logitBlockSize } from "./choose_token.ts";
 * import assert from "node:assert/strict";
 * assert.equal(logitBlockSize(49152), 128);
 * assert.equal(logitBlockSize(50257), 29);
 * assert.equal(logitBlockSize(67), 67);
 * ```
 */
export function logitBlockSize(vocabSize: number): number {
  for (let size = LARGEST_BLOCK; size >= SMALLEST_BLOCK; size--) {
    if (vocabSize % size === 0) return size;
  }
  return vocabSize;
}

/** Sums up logits that the host has computed, as the decode program does on the device. */
export function blockLogits(values: Float32Array, temperature: number): Logits {
  const size = logitBlockSize(values.length);
  const count = values.length / size;
  const maxima = new Float32Array(count).map((_, block) => {
    let most = -Infinity;
    for (let i = block * size; i < (block + 1) * size; i++) most = Math.max(most, values[i]!);
    return most;
  });
  const most = maxima.reduce((a, b) => Math.max(a, b));
  const t = temperature === 0 ? 1 : temperature;
  const sums = maxima.map((_, block) => {
    let sum = 0;
    for (let i = block * size; i < (block + 1) * size; i++) {
      sum += Math.exp((values[i]! - most) / t);
    }
    return sum;
  });
  return { values, maxima, sums };
}

/** Index of the largest value; the first one on ties. */
function argmax(values: Float32Array, start = 0, end = values.length): number {
  let best = start;
  for (let i = start + 1; i < end; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Index of the largest of all values; the first one on ties. */
function likeliest({ values, maxima }: Logits): number {
  const size = values.length / maxima.length;
  const block = argmax(maxima);
  return argmax(values, block * size, (block + 1) * size);
}

/** Probability of each kept token, most likely first. */
interface Candidates {
  readonly ids: readonly number[];
  readonly probabilities: readonly number[];
}

/** Tempered probabilities: exp((value − most) / temperature) / total. */
interface Distribution extends Logits {
  readonly most: number;
  readonly total: number;
}

function distribution(logits: Logits): Distribution {
  let most = -Infinity;
  for (const value of logits.maxima) if (value > most) most = value;
  let total = 0;
  for (const sum of logits.sums) total += sum;
  return { ...logits, most, total };
}

/**
 * Candidates in falling order of probability, the lower id first on ties.
 *
 * A nucleus is small, so one pass over the blocks that reach a threshold and a sort of what passes beats
 * sorting the vocabulary; the threshold is lowered until `enough` has passed.
 */
function candidates(
  { values, maxima, most, total }: Distribution,
  temperature: number,
  threshold: number,
  enough: (held: number, count: number) => boolean,
): Candidates {
  const size = values.length / maxima.length;
  const probability = (value: number) => Math.exp((value - most) / temperature) / total;
  for (;; threshold /= 32) {
    const all = threshold < 1e-12;
    const least = all ? -Infinity : most + Math.log(threshold * total) * temperature;
    const ids: number[] = [];
    let held = 0;
    for (let block = 0; block < maxima.length; block++) {
      if (maxima[block]! < least) continue;
      for (let i = block * size; i < (block + 1) * size; i++) {
        if (values[i]! < least) continue;
        ids.push(i);
        held += probability(values[i]!);
      }
    }
    if (!all && !enough(held, ids.length)) continue;
    ids.sort((a, b) => values[b]! - values[a]! || a - b);
    return { ids, probabilities: ids.map((id) => probability(values[id]!)) };
  }
}

/** Candidates that hold all that the options keep, and perhaps more. */
function likelyTokens(
  logits: Distribution,
  { temperature, topP, topK, minP }: ChoiceOptions,
): Candidates {
  if (topK > 0) return candidates(logits, temperature, 1e-3, (_, count) => count >= topK);
  if (topP < 1) return candidates(logits, temperature, 1e-3, (held) => held >= topP);
  return candidates(logits, temperature, minP / logits.total * (1 - 1e-6), () => true);
}

/** A token of the whole distribution: first its block, then the token within. */
function anyToken(
  { values, maxima, sums, most, total }: Distribution,
  temperature: number,
  random: number,
): number {
  const size = values.length / sums.length;
  let left = random * total;
  let block = 0;
  while (block < sums.length - 1 && left >= sums[block]!) left -= sums[block++]!;
  // Rounding left a sliver beyond the last block; it is too wide for any but a likely one.
  if (left >= sums[block]!) block = argmax(maxima);
  const [start, end] = [block * size, (block + 1) * size];
  for (let i = start; i < end; i++) {
    left -= Math.exp((values[i]! - most) / temperature);
    if (left < 0) return i;
  }
  return argmax(values, start, end);
}

/**
 * The next token.
 *
 * @param random A number in [0, 1).
 * @throws {RangeError} When the logits are not finite.
 */
export function chooseToken(logits: Logits, options: ChoiceOptions, random: number): number {
  const { temperature, topP, topK, minP } = options;
  const all = distribution(logits);
  if (!Number.isFinite(all.most) || !Number.isFinite(all.total)) {
    throw new RangeError(
      `Cannot choose a token as logits must be finite: the largest is ${all.most}, their sum ${all.total}`,
    );
  }
  if (temperature === 0) return likeliest(logits);
  if (topP >= 1 && topK <= 0 && minP <= 0) return anyToken(all, temperature, random);

  const { ids, probabilities } = likelyTokens(all, options);
  let kept = topK > 0 ? Math.min(topK, ids.length) : ids.length;
  if (topP < 1) {
    let total = 1;
    if (topK > 0) {
      total = 0;
      for (let i = 0; i < kept; i++) total += probabilities[i]!;
    }
    let held = 0;
    let nucleus = 0;
    while (nucleus < kept && held < topP * total) held += probabilities[nucleus++]!;
    kept = Math.max(1, nucleus);
  }
  if (minP > 0) {
    const least = minP * probabilities[0]!;
    let index = 1;
    while (index < kept && probabilities[index]! >= least) index++;
    kept = index;
  }
  let total = 0;
  for (let i = 0; i < kept; i++) total += probabilities[i]!;
  let left = random * total;
  for (let i = 0; i < kept; i++) {
    left -= probabilities[i]!;
    if (left < 0) return ids[i]!;
  }
  return ids[kept - 1]!;
}
