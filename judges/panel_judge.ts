/**
 * Several judges that vote.
 *
 * @module
 */

import { needsOf, type PreferenceOracle } from "../core/oracle.ts";
import { costsOf, judgementOf, sideBySide } from "./side_by_side.ts";

/** Options of {@linkcode panelJudge}. */
export interface PanelOptions {
  /**
   * `majority` (the default): 1 for what more judges are for, ½ where as many are for either.
   * `share`: the share of votes.
   */
  readonly vote?: "majority" | "share";
}

/**
 * A panel: each judge has one vote per pair, for the response whose preference is above ½, or half a
 * vote for either at ½. Judges that did not compare a pair abstain; a cell exists where one did. How
 * sure a judge is does not count: `mixtureJudge` is for that. A majority of transitive judges can go
 * round in circles (Condorcet 1785). Costs add up; there are no logits.
 *
 * @throws {RangeError} When there is no judge.
 *
 * @example
 * ```ts
 * import { panelJudge } from "./panel_judge.ts";
 * import { jsonJudge, lengthJudge } from "./feature_judge.ts";
 * import assert from "node:assert/strict";
 * const judges = [lengthJudge({ max: 1 }), lengthJudge({ max: 1, unit: "characters" }), jsonJudge()];
 * const prompt = { id: "p", content: "?" }, responses = [{ text: "word" }, { text: "[1, 2]" }];
 * for await (const { preferences } of panelJudge(judges).compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 1);
 * }
 * const shares = panelJudge(judges, { vote: "share" });
 * for await (const { preferences } of shares.compare([{ prompt, responses }])) {
 *   assert.equal(preferences[1], 2 / 3);
 * }
 * ```
 */
export function panelJudge(
  oracles: readonly PreferenceOracle[],
  { vote = "majority" }: PanelOptions = {},
): PreferenceOracle {
  if (oracles.length === 0) {
    throw new RangeError("Cannot make a panel as it must have one judge at least: none");
  }
  return {
    id: `${vote}(${oracles.map(({ id }) => id).join("; ")})`,
    ...needsOf(oracles),
    async *compare(groups, options) {
      for await (const judgements of sideBySide(oracles, groups, options)) {
        const { size } = judgements[0]!;
        const voted = judgementOf(size, (i, j) => {
          const at = i * size + j;
          const votes = judgements.filter(({ mask }) => mask[at] === 1)
            .map(({ preferences }) => voteOf(preferences[at]!));
          if (votes.length === 0) return undefined;
          const share = votes.reduce((a, b) => a + b) / votes.length;
          return vote === "share" ? share : voteOf(share);
        });
        yield { ...voted, ...costsOf(judgements) };
      }
    },
  };
}

function voteOf(preference: number): number {
  return (Math.sign(preference - 0.5) + 1) / 2;
}
