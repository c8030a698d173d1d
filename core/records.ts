/**
 * How what a run produces is kept in a journal, and work that goes on from what is there.
 *
 * @module
 */

import type { Journal, Json } from "./journal.ts";
import type { ComparisonGroup, Judgement } from "./oracle.ts";
import type { Prompt, Response, Sampled } from "./policy.ts";

/** Work on a list of items, batch by batch, whose outcomes are journaled one by one. */
export interface JournaledWork<Item, Outcome> {
  readonly items: readonly Item[];
  /** Items asked for at once. Batches are planned from this alone, so that a resumed run's are the same. */
  readonly batchSize: number;
  /** Whether an outcome is the same, to the last bit, whatever else is asked for. */
  readonly independent?: boolean;
  /** Yields one outcome per item, in order; at most `later` items will be asked for after them. */
  ask(items: readonly Item[], later: number): AsyncIterable<Outcome>;
  /** Names the item's record; hashes everything the outcome depends on. */
  keyOf(item: Item): string;
  encode(outcome: Outcome): Json;
  decode(record: Json, item: Item): Outcome;
  /** What an outcome is, for messages. */
  readonly what: string;
}

/** An item with its outcome. */
export interface Finished<Item, Outcome> {
  readonly item: Item;
  readonly outcome: Outcome;
  /** The outcome was in the journal. */
  readonly restored: boolean;
}

/**
 * Does the work, and yields item by item in order.
 *
 * A batch of which every record is in the journal is not asked. Of one of which some are, what is missing
 * is asked where outcomes are independent; else the whole is asked again, because outcomes may depend on
 * the batch in their last bits, and what is recorded stands. An outcome is appended before it is yielded,
 * and what is yielded is read from its record, so that a resumed run sees what an uninterrupted one saw.
 *
 * @param journal Where records are kept; nothing is without one.
 * @param list The records' list.
 * @throws {RangeError} When `ask` yields fewer or more outcomes than items.
 *
 * @example
 * ```ts
 * import { journaled } from "./records.ts";
 * import { memoryJournal } from "./journal.ts";
 * import assert from "node:assert/strict";
 * const journal = memoryJournal();
 * await journal.append("squares", "2", 4);
 * const asked: number[] = [];
 * const work = {
 *   items: [1, 2, 3],
 *   batchSize: 2,
 *   async *ask(items: readonly number[]) {
 *     asked.push(...items);
 *     for (const item of items) yield item * item;
 *   },
 *   keyOf: String,
 *   encode: (outcome: number) => outcome,
 *   decode: Number,
 *   what: "square",
 * };
 * const restored: boolean[] = [];
 * for await (const finished of journaled(journal, "squares", work)) restored.push(finished.restored);
 * assert.deepEqual(restored, [false, true, false]);
 * assert.deepEqual(asked, [1, 2, 3]);
 * ```
 */
export async function* journaled<Item, Outcome>(
  journal: Journal | undefined,
  list: string,
  work: JournaledWork<Item, Outcome>,
): AsyncGenerator<Finished<Item, Outcome>, void> {
  const { items, batchSize, independent = false } = work;
  const records = await journal?.records(list);
  for (let start = 0; start < items.length; start += batchSize) {
    const batch = items.slice(start, start + batchSize);
    const keys = journal === undefined ? [] : batch.map((item) => work.keyOf(item));
    const found = batch.map((_, index) => records?.get(keys[index]!));
    const missing = [...batch.keys()].filter((index) => found[index] === undefined);
    const asked = independent || missing.length === 0 ? missing : [...batch.keys()];
    const restored = (index: number): Finished<Item, Outcome> => {
      const item = batch[index]!;
      return { item, outcome: work.decode(found[index]!, item), restored: true };
    };
    let done = 0;
    let answers = 0;
    const later = items.length - start - batch.length;
    if (asked.length > 0) {
      for await (const fresh of work.ask(asked.map((index) => batch[index]!), later)) {
        const index = asked[answers++];
        if (index === undefined) {
          throw wrongCount(work.what, `more than ${asked.length}`, asked.length);
        }
        while (done <= index && found[done] !== undefined) yield restored(done++);
        if (done > index) continue;
        let outcome: Outcome = fresh;
        if (journal !== undefined) {
          const encoded = work.encode(fresh);
          await journal.append(list, keys[index]!, encoded);
          outcome = work.decode(encoded, batch[index]!);
        }
        done++;
        yield { item: batch[index]!, outcome, restored: false };
      }
      if (answers < asked.length) throw wrongCount(work.what, String(answers), asked.length);
    }
    while (done < batch.length) yield restored(done++);
  }
}

function wrongCount(what: string, got: string, wanted: number): RangeError {
  return new RangeError(
    `Cannot go on as there must be one ${what} for each of the ${wanted} asked for: ${got}`,
  );
}

/**
 * The record of a prompt's responses: `{"responses": [{"text", "tokenIds"?, …}], "weights"?}`.
 *
 * @example
 * ```ts
 * import { decodeSampled, encodeSampled } from "./records.ts";
 * import assert from "node:assert/strict";
 * const sampled = { prompt: { id: "p", content: "?" }, responses: [{ text: "a", logProb: -1.5 }] };
 * assert.deepEqual(decodeSampled(encodeSampled(sampled), sampled.prompt), sampled);
 * ```
 */
export function encodeSampled({ responses, weights }: Sampled): Json {
  return {
    responses: responses.map(({ text, tokenIds, finishReason, logProb }) => ({
      text,
      ...(tokenIds === undefined ? {} : { tokenIds: Array.from(tokenIds) }),
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(logProb === undefined ? {} : { logProb: isFinite(logProb) ? logProb : null }),
    })),
    ...(weights === undefined ? {} : { weights: Array.from(weights) }),
  };
}

/** Reads the record of {@linkcode encodeSampled}. A log-probability of null is −∞. */
export function decodeSampled(record: Json, prompt: Prompt): Sampled {
  const { responses, weights } = record as unknown as {
    responses: (Omit<Response, "logProb"> & { logProb?: number | null })[];
    weights?: number[];
  };
  return {
    prompt,
    responses: responses.map(({ logProb, ...response }) => ({
      ...response,
      ...(logProb === undefined ? {} : { logProb: logProb ?? -Infinity }),
    })),
    ...(weights === undefined ? {} : { weights }),
  };
}

/**
 * The record of a judgement: `{"preferences": [[…]], "logits"?: [[…]], "cost"?, "counts"?}`, K rows of
 * K, null where masked.
 *
 * @example
 * ```ts
 * import { decodeJudgement, encodeJudgement } from "./records.ts";
 * import { judge } from "./judgements.ts";
 * import assert from "node:assert/strict";
 * const prompt = { id: "p", content: "?" }, responses = ["a", "b", "c"].map((text) => ({ text }));
 * const group = { prompt, responses, pairs: [[0, 2]] as const };
 * const record = encodeJudgement(judge(group, () => 1));
 * assert.deepEqual(record, { preferences: [[0.5, null, 1], [null, 0.5, null], [0, null, 0.5]] });
 * assert.deepEqual(decodeJudgement(record, group), judge(group, () => 1));
 * ```
 */
export function encodeJudgement(judgement: Judgement): Json {
  const { logits, cost, counts } = judgement;
  return {
    preferences: preferenceRows(judgement),
    ...(logits === undefined ? {} : { logits: rows(judgement, logits) }),
    ...(cost === undefined ? {} : { cost: { ...cost } }),
    ...(counts === undefined ? {} : { counts: { ...counts } }),
  };
}

/**
 * A judgement's preferences as K rows of K, null where a cell is masked.
 *
 * @example
 * ```ts
 * import { preferenceRows } from "./records.ts";
 * import assert from "node:assert/strict";
 * const judgement = {
 *   size: 2,
 *   preferences: Float64Array.of(0.5, NaN, NaN, 0.5),
 *   mask: Uint8Array.of(1, 0, 0, 1),
 * };
 * assert.deepEqual(preferenceRows(judgement), [[0.5, null], [null, 0.5]]);
 * ```
 */
export function preferenceRows(
  judgement: Pick<Judgement, "size" | "preferences" | "mask">,
): (number | null)[][] {
  return rows(judgement, judgement.preferences);
}

function rows(
  { size, mask }: Pick<Judgement, "size" | "mask">,
  values: Float64Array,
): (number | null)[][] {
  return Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => {
      const at = i * size + j;
      return mask[at] === 1 ? values[at]! : null;
    }));
}

/** Reads the record of {@linkcode encodeJudgement}. Masked cells are NaN. */
export function decodeJudgement(record: Json, group: ComparisonGroup): Judgement {
  const size = group.responses.length;
  const { preferences, logits, cost, counts } = record as unknown as {
    preferences: (number | null)[][];
    logits?: (number | null)[][];
    cost?: NonNullable<Judgement["cost"]>;
    counts?: NonNullable<Judgement["counts"]>;
  };
  const flat = (rows: (number | null)[][]) =>
    Float64Array.from(rows.flat(), (cell) => cell === null ? NaN : cell);
  return {
    size,
    preferences: flat(preferences),
    mask: Uint8Array.from(preferences.flat(), (cell) => cell === null ? 0 : 1),
    ...(logits === undefined ? {} : { logits: flat(logits) }),
    ...(cost === undefined ? {} : { cost }),
    ...(counts === undefined ? {} : { counts }),
  };
}
