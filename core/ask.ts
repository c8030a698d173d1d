/**
 * What the loop asks of policies and oracles, held to their laws and journaled.
 *
 * @module
 */

import { crossGroups, type CrossPreferences, crossPreferences } from "./evaluate.ts";
import { fingerprint } from "./hash.ts";
import type { Journal, Json } from "./journal.ts";
import { checkJudgement } from "./judgements.ts";
import type { CompareOptions, ComparisonGroup, Judgement, PreferenceOracle } from "./oracle.ts";
import type { Prompt, Sampled, SampleOptions, Sampler } from "./policy.ts";
import {
  decodeJudgement,
  decodeSampled,
  encodeJudgement,
  encodeSampled,
  journaled,
} from "./records.ts";

/** How to sample; seeds are the loop's. */
export type SamplingOptions = Omit<SampleOptions, "seed" | "signal">;

/** Options of {@linkcode respond}. */
export interface AskOptions {
  /** Where answers are kept; nothing is without one. */
  readonly journal?: Journal;
  /** Prompts per call; 8 by default. */
  readonly promptsPerBatch?: number;
  /** Ends the asking with an error, the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode compare} and {@linkcode compareAcross}. */
export interface CompareAskOptions extends AskOptions {
  readonly oracle: PreferenceOracle;
}

/** Responses of a policy, journaled. */
export async function* respond(
  options: AskOptions,
  list: string,
  policy: Sampler,
  prompts: readonly Prompt[],
  sampling: SamplingOptions,
  seed: number,
): AsyncGenerator<{ sampled: Sampled; restored: boolean }, void> {
  const { signal } = options;
  const finished = journaled<Prompt, Sampled>(options.journal, list, {
    items: prompts,
    batchSize: options.promptsPerBatch ?? 8,
    async *ask(batch) {
      signal?.throwIfAborted();
      let index = 0;
      const asked = { ...sampling, seed, ...(signal === undefined ? {} : { signal }) };
      for await (const sampled of policy.sample(batch, asked)) {
        const prompt = batch[index++];
        if (prompt !== undefined && sampled.prompt.id !== prompt.id) {
          throw new RangeError(
            `Cannot use the responses of "${policy.id}" as prompts must be answered in order: ` +
              `"${sampled.prompt.id}" for "${prompt.id}"`,
          );
        }
        yield sampled;
      }
    },
    keyOf: (prompt) =>
      `${prompt.id}#` +
      fingerprint([policy.id, prompt.content, sampling, seed] as unknown as Json),
    encode: encodeSampled,
    decode: decodeSampled,
    what: "set of responses",
  });
  for await (const { outcome, restored } of finished) yield { sampled: outcome, restored };
}

/** Judgements of groups, checked and journaled. */
export async function* compare(
  options: CompareAskOptions,
  list: string,
  groups: readonly ComparisonGroup[],
): AsyncGenerator<{ judgement: Judgement; restored: boolean }, void> {
  const { oracle, signal } = options;
  const finished = journaled<ComparisonGroup, Judgement>(options.journal, list, {
    items: groups,
    batchSize: options.promptsPerBatch ?? 8,
    independent: true, // a law of oracles
    async *ask(batch, later) {
      signal?.throwIfAborted();
      let index = 0;
      for await (const judgement of oracle.compare(batch, asking(signal, later))) {
        const group = batch[index++];
        yield group === undefined ? judgement : checkJudgement(judgement, group, oracle.id);
      }
    },
    keyOf: (group) => judgementKey(oracle, group),
    encode: encodeJudgement,
    decode: decodeJudgement,
    what: "judgement",
  });
  for await (const { outcome, restored } of finished) yield { judgement: outcome, restored };
}

function asking(signal: AbortSignal | undefined, later: number): CompareOptions {
  return { later, ...(signal === undefined ? {} : { signal }) };
}

function judgementKey(oracle: PreferenceOracle, { prompt, responses, pairs }: ComparisonGroup) {
  const texts = responses.map(({ text }) => text);
  return `${prompt.id}#` +
    fingerprint(
      [
        ...[oracle.id, prompt.content, texts, pairs ?? null],
        ...(prompt.fields === undefined ? [] : [prompt.fields]),
      ] as unknown as Json,
    );
}

/** The K×K′ preferences of two policies by prompt, journaled. */
export async function* compareAcross(
  options: CompareAskOptions,
  list: string,
  ours: readonly Sampled[],
  theirs: readonly Sampled[],
): AsyncGenerator<{ cross: CrossPreferences; restored: boolean }, void> {
  const { oracle, signal } = options;
  const groups = crossGroups(ours, theirs);
  const items = groups.map((group, index) => ({ group, count: ours[index]!.responses.length }));
  const finished = journaled<typeof items[number], CrossPreferences>(options.journal, list, {
    items,
    batchSize: options.promptsPerBatch ?? 8,
    independent: true,
    async *ask(batch, later) {
      signal?.throwIfAborted();
      const asked = batch.map(({ group }) => group);
      let index = 0;
      for await (const judgement of oracle.compare(asked, asking(signal, later))) {
        const item = batch[index++];
        yield item === undefined
          ? []
          : crossPreferences(checkJudgement(judgement, item.group, oracle.id), item.count);
      }
    },
    keyOf: ({ group }) => judgementKey(oracle, group),
    encode: (cross) => ({ preferences: cross }),
    decode: (record) => (record as { preferences: CrossPreferences }).preferences,
    what: "judgement",
  });
  for await (const { outcome, restored } of finished) yield { cross: outcome, restored };
}
