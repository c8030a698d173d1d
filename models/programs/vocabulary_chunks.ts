/**
 * In how many parts the vocabulary is walked.
 *
 * @module
 */

/**
 * Most memory for the logits of one run when nothing else is said, in bytes. More parts cost nothing
 * while the vocabulary's matrix is frozen; where it is trained, its gradient computes the logits of
 * several parts again.
 */
export const LOGITS_BYTES = { frozen: 2 ** 25, trained: 2 ** 29 } as const;

/**
 * Columns of float32 whose rows all begin at the same place of a page, so that they push each other out
 * of a cache: a product of logits with so many took 5 % longer (AMD EPYC).
 */
const PAGE_COLUMNS = 1024;

/** As few parts as keep the logits of so many tokens, at 4 bytes each, in a budget; or some more. */
export function vocabularyChunks(vocabSize: number, tokens: number, logitsBytes: number): number {
  let chunks = Math.min(Math.ceil(4 * tokens * vocabSize / logitsBytes), vocabSize);
  while (chunks > 1 && Math.floor(vocabSize / chunks) % PAGE_COLUMNS === 0) chunks++;
  return chunks;
}
