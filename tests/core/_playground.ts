/**
 * A small run of self-play for tests: three prompts with a handful of answers, a judge that likes some.
 *
 * @module
 */

import type { Journal, Json } from "../../core/journal.ts";
import { judge } from "../../core/judgements.ts";
import type { PreferenceOracle } from "../../core/oracle.ts";
import type { Policy } from "../../core/policy.ts";
import { selfPlay, type SelfPlayOptions } from "../../core/self_play.ts";
import type { SelfPlayEvent, SelfPlayResult } from "../../core/events.ts";
import { type TabularPolicy, tabularPolicy } from "../../core/tabular.ts";
import { gradientDescent } from "../../core/tabular_trainers.ts";

/** Prefers the later letter, the more so the further apart: P = ½ + distance/10. */
export const laterLetter: PreferenceOracle = {
  id: "later-letter",
  async *compare(groups, { signal } = {}) {
    for (const group of groups) {
      signal?.throwIfAborted();
      const letters = group.responses.map(({ text }) => text.charCodeAt(0));
      yield judge(group, (i, j) => 0.5 + Math.max(-5, Math.min(5, letters[i]! - letters[j]!)) / 10);
    }
  },
};

const ids = ["x", "y", "z", "u", "v"];

/** Options of a run of two iterations over three prompts, with two held out. */
export function playground(): SelfPlayOptions<TabularPolicy> {
  const prompts = ids.map((id) => ({ id, content: `Which letter, ${id}?` }));
  return {
    policy: tabularPolicy({
      answers: Object.fromEntries(ids.map((id) => [id, ["a", "b", "c", "d"]])),
    }),
    oracle: laterLetter,
    trainer: gradientDescent({ steps: 3, learningRate: 0.5, checkpointEvery: 1 }),
    prompts: prompts.slice(0, 3),
    heldOut: prompts.slice(3),
    iterations: 2,
    promptsPerIteration: "repeat",
    promptsPerBatch: 2,
    sampling: { samples: 3, temperature: 1, topP: 1, maxTokens: 1 },
    eta: 2,
    seed: 5,
  };
}

/** Plays to the end. */
export async function finish<P extends Policy>(
  options: SelfPlayOptions<P>,
): Promise<{ events: SelfPlayEvent<P>[]; result: SelfPlayResult<P> }> {
  const events: SelfPlayEvent<P>[] = [];
  const run = selfPlay(options);
  let next = await run.next();
  for (; !next.done; next = await run.next()) events.push(next.value);
  return { events, result: next.value };
}

/** A journal whose content can be looked at; records and blobs pass through text, as on a disk. */
export function openJournal(): Journal & { readonly content: ReadonlyMap<string, string> } {
  const content = new Map<string, string>();
  const lists = new Map<string, Map<string, string>>();
  const at = (prefix: string): Journal => ({
    records(list) {
      const records = lists.get(prefix + list) ?? new Map<string, string>();
      return Promise.resolve(new Map([...records].map(([key, text]) => [key, JSON.parse(text)])));
    },
    append(list, key, record: Json) {
      const records = lists.get(prefix + list) ?? new Map<string, string>();
      if (records.has(key)) return Promise.reject(new RangeError(`${prefix}${list} has ${key}`));
      records.set(key, JSON.stringify(record));
      lists.set(prefix + list, records);
      content.set(`list ${prefix}${list}`, [...records].join("\n"));
      return Promise.resolve();
    },
    read(name) {
      const text = content.get(`blob ${prefix}${name}`);
      return Promise.resolve(
        text === undefined ? undefined : Uint8Array.from(JSON.parse(text) as number[]),
      );
    },
    write(name, bytes) {
      content.set(`blob ${prefix}${name}`, JSON.stringify([...bytes]));
      return Promise.resolve();
    },
    remove(name) {
      content.delete(`blob ${prefix}${name}`);
      return Promise.resolve();
    },
    within: (path) => at(`${prefix}${path}/`),
  });
  return { ...at(""), content };
}
