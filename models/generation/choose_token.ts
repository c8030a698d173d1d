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

/** Logits of one row with the normalisers the device computed. */
export interface Logits {
  /** [V]. */
  readonly values: Float32Array;
  /** log Σ exp(values / temperature). */
  readonly temperedLogNormalizer: number;
}

/** Index of the largest value; the first one on ties. */
export function argmax(values: Float32Array): number {
  let best = 0;
  let most = values[0]!;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > most) {
      most = values[i]!;
      best = i;
    }
  }
  return best;
}

/** Probability of each kept token, most likely first. */
interface Candidates {
  readonly ids: readonly number[];
  readonly probabilities: readonly number[];
}

/**
 * Candidates in falling order of probability, the lower id first on ties.
 *
 * A nucleus is small, so one pass with a threshold and a sort of what passes beats sorting the
 * vocabulary; the threshold is lowered until `enough` has passed.
 */
function candidates(
  { values, temperedLogNormalizer }: Logits,
  temperature: number,
  threshold: number,
  enough: (held: number, count: number) => boolean,
): Candidates {
  for (;; threshold /= 32) {
    const all = threshold < 1e-12;
    const least = all ? -Infinity : (Math.log(threshold) + temperedLogNormalizer) * temperature;
    const ids: number[] = [];
    let held = 0;
    for (let i = 0; i < values.length; i++) {
      if (values[i]! >= least) {
        ids.push(i);
        held += Math.exp(values[i]! / temperature - temperedLogNormalizer);
      }
    }
    if (!all && !enough(held, ids.length)) continue;
    ids.sort((a, b) => values[b]! - values[a]! || a - b);
    return {
      ids,
      probabilities: ids.map((id) => Math.exp(values[id]! / temperature - temperedLogNormalizer)),
    };
  }
}

/** Candidates that hold all that the options keep, and perhaps more. */
function likelyTokens(
  logits: Logits,
  { temperature, topP, topK, minP }: ChoiceOptions,
): Candidates {
  if (topK > 0) return candidates(logits, temperature, 1e-3, (_, count) => count >= topK);
  if (topP < 1) return candidates(logits, temperature, 1e-3, (held) => held >= topP);
  const most = logits.values[argmax(logits.values)]!;
  const least = minP * Math.exp(most / temperature - logits.temperedLogNormalizer);
  return candidates(logits, temperature, least * (1 - 1e-6), () => true);
}

/**
 * The next token.
 *
 * @param random A number in [0, 1).
 * @throws {RangeError} When the logits are not finite.
 */
export function chooseToken(logits: Logits, options: ChoiceOptions, random: number): number {
  const { values, temperedLogNormalizer } = logits;
  const { temperature, topP, topK, minP } = options;
  if (!Number.isFinite(temperedLogNormalizer)) {
    throw new RangeError(
      `Cannot choose a token as logits must be finite: their normaliser is ${temperedLogNormalizer}`,
    );
  }
  if (temperature === 0) return argmax(values);
  if (topP >= 1 && topK <= 0 && minP <= 0) {
    let left = random;
    for (let i = 0; i < values.length; i++) {
      left -= Math.exp(values[i]! / temperature - temperedLogNormalizer);
      if (left < 0) return i;
    }
    // Rounding left a sliver beyond the last token; it is too wide for any but a likely one.
    return argmax(values);
  }

  const { ids, probabilities } = likelyTokens(logits, options);
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
