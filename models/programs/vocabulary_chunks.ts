/**
 * In how many parts the vocabulary is walked.
 *
 * @module
 */

/** Most memory for the logits of one run when nothing else is said, in bytes. */
const LOGITS_BYTES = 2 ** 29;

/** As few parts as keep the logits of so many tokens, at 4 bytes each, in a budget. */
export function vocabularyChunks(
  vocabSize: number,
  tokens: number,
  logitsBytes: number = LOGITS_BYTES,
): number {
  return Math.min(Math.ceil(4 * tokens * vocabSize / logitsBytes), vocabSize);
}
