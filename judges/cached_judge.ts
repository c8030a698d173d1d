/**
 * A judge that is not asked twice.
 *
 * @module
 */

import { hash128 } from "../core/hash.ts";
import {
  type ComparisonGroup,
  type Judgement,
  needsOf,
  type PreferenceOracle,
} from "../core/oracle.ts";
import { costsOf, judgementOf } from "./side_by_side.ts";

/** What is kept of a pair, from the side of the response whose text is the smaller one. */
export interface CachedPair {
  /** P(smaller ≻ other). */
  readonly preference: number;
  /** Raw logits of (smaller, other) and of (other, smaller), where the judge has them. */
  readonly logits?: readonly [number, number];
}

/** Where answers are kept; a `Map` is one. */
export interface PairStore {
  /** The answer kept under a key. */
  get(key: string): CachedPair | undefined;
  /** Keeps an answer. */
  set(key: string, pair: CachedPair): unknown;
}

/**
 * Asks a judge only about pairs it has not answered: those of the same prompt (id, content and fields)
 * and the same two texts. Logits are kept with preferences. Costs are those of what was asked.
 *
 * The pairs of one comparison that are new go to the judge in one comparison of its own, so that it can
 * batch them.
 *
 * @param store Where answers are kept; keys cover the judge's id, so that judges may share one. A new
 *   `Map`, which forgets nothing, by default.
 *
 * @example
 * ```ts
 * import { cachedJudge } from "./cached_judge.ts";
 * import { judge } from "../core/judgements.ts";
 * import assert from "node:assert/strict";
 * let asked = 0;
 * const oracle = cachedJudge({
 *   id: "counting",
 *   async *compare(groups) {
 *     for (const group of groups) yield judge(group, () => (asked++, 0.75));
 *   },
 * });
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "a" }, { text: "b" }];
 * const again = { prompt, responses: responses.toReversed() };
 * const seen = [];
 * for await (const { preferences } of oracle.compare([{ prompt, responses }, again])) {
 *   seen.push(preferences[1]);
 * }
 * assert.deepEqual(seen, [0.75, 0.25]);
 * assert.equal(asked, 1);
 * ```
 */
export function cachedJudge(
  oracle: PreferenceOracle,
  store: PairStore = new Map<string, CachedPair>(),
): PreferenceOracle {
  return {
    id: oracle.id,
    ...needsOf([oracle]),
    async *compare(groups, options) {
      const answers = new Map<string, CachedPair>();
      const plans = plan(oracle.id, groups, store, answers);
      const asked = plans.flatMap(({ ask }) => ask ?? []);
      const stream = oracle.compare(asked, options)[Symbol.asyncIterator]();
      try {
        for (const { group, cells, ask } of plans) {
          options?.signal?.throwIfAborted();
          const size = group.responses.length;
          let cost = {};
          if (ask !== undefined) {
            const { done, value } = await stream.next();
            if (done === true) {
              throw new RangeError(
                `Cannot keep judgements as a judge must give one per group: ` +
                  `"${oracle.id}" has none for prompt "${group.prompt.id}"`,
              );
            }
            cost = costsOf([value]);
            for (const [i, j] of ask.pairs) {
              const { key, first, second } = cells.get(i * size + j)!;
              const at = first * size + second, back = second * size + first;
              if (value.mask[at] !== 1) continue;
              const pair: CachedPair = {
                preference: value.preferences[at]!,
                ...(value.logits === undefined
                  ? {}
                  : { logits: [value.logits[at]!, value.logits[back]!] }),
              };
              answers.set(key, pair);
              store.set(key, pair);
            }
          }
          yield { ...fill(size, cells, answers), ...cost };
        }
      } finally {
        await stream.return?.();
      }
    },
  };
}

/** A pair of a group: its key, and which of its responses is the smaller text. */
interface Cell {
  readonly key: string;
  readonly first: number;
  readonly second: number;
}

interface GroupPlan {
  readonly group: ComparisonGroup;
  /** Cells wanted, at i·K + j with i < j. */
  readonly cells: ReadonlyMap<number, Cell>;
  /** What the judge is asked of the group, unless nothing. */
  readonly ask?: ComparisonGroup & Required<Pick<ComparisonGroup, "pairs">>;
}

/** What to ask about each group; what the store has goes to `answers`. */
function plan(
  id: string,
  groups: readonly ComparisonGroup[],
  store: PairStore,
  answers: Map<string, CachedPair>,
): GroupPlan[] {
  const planned = new Set<string>();
  return groups.map((group) => {
    const { prompt, responses } = group, size = responses.length;
    const cells = new Map<number, Cell>(), missing: [number, number][] = [];
    for (const [a, b] of group.pairs ?? allPairs(size)) {
      const i = Math.min(a, b), j = Math.max(a, b);
      const left = responses[i]!.text, right = responses[j]!.text;
      const [first, second] = left <= right ? [i, j] : [j, i];
      // As JSON, in which lone surrogates, all the same in UTF-8, differ.
      const text = [
        ...[id, prompt.id, prompt.content, responses[first]!.text, responses[second]!.text],
        prompt.fields,
      ];
      const key = hash128(JSON.stringify(text)).join(",");
      cells.set(i * size + j, { key, first, second });
      if (planned.has(key)) continue;
      planned.add(key);
      const known = store.get(key);
      if (known === undefined) missing.push([i, j]);
      else answers.set(key, known);
    }
    return missing.length === 0
      ? { group, cells }
      : { group, cells, ask: { prompt, responses, pairs: missing } };
  });
}

function allPairs(size: number): [number, number][] {
  const pairs: [number, number][] = [];
  for (let i = 0; i < size; i++) for (let j = i + 1; j < size; j++) pairs.push([i, j]);
  return pairs;
}

function fill(
  size: number,
  cells: ReadonlyMap<number, Cell>,
  answers: ReadonlyMap<string, CachedPair>,
): Judgement {
  const logits = new Float64Array(size * size);
  let all = cells.size > 0;
  const judgement = judgementOf(size, (i, j) => {
    const cell = cells.get(i * size + j);
    const pair = cell && answers.get(cell.key);
    if (cell === undefined || pair === undefined) return undefined;
    const [there, back] = pair.logits ?? [];
    if (there === undefined || back === undefined) all = false;
    else {
      logits[cell.first * size + cell.second] = there;
      logits[cell.second * size + cell.first] = back;
    }
    return cell.first === i ? pair.preference : 1 - pair.preference;
  });
  return all ? { ...judgement, logits } : judgement;
}
