/**
 * The game of mixed_strategy.ts: prompts that name three choices, the judge that ranks the choices in a
 * cycle, and what a policy's mixture of them is.
 *
 * @module
 */

import {
  judge,
  type Policy,
  type PreferenceMatrix,
  type PreferenceOracle,
  type Prompt,
  randomStream,
  shuffle,
} from "../../core/mod.ts";

/** How often the first choice beats the second, the second the third, the third the first. */
export const STRENGTHS = [0.98, 0.7, 0.8] as const;
/** How often any choice beats an answer that is none. */
export const OTHER_LOSES = 0.98;
/** P over the first, second and third choice, and anything else. */
export const GAME: PreferenceMatrix = (() => {
  const [ab, bc, ca] = STRENGTHS, o = OTHER_LOSES;
  // deno-fmt-ignore
  const preferences = [
    0.5, ab, 1 - ca, o,
    1 - ab, 0.5, bc, o,
    ca, 1 - bc, 0.5, o,
    1 - o, 1 - o, 1 - o, 0.5,
  ];
  return { size: 4, preferences };
})();

const WORDS = [
  "ants",
  "bats",
  "bears",
  "bees",
  "camels",
  "cats",
  "chickens",
  "cows",
  "crabs",
  "deer",
  "dogs",
  "dolphins",
  "ducks",
  "eagles",
  "foxes",
  "frogs",
  "goats",
  "horses",
  "lions",
  "owls",
  "pigs",
  "seals",
  "sharks",
  "sheep",
  "snakes",
  "spiders",
  "tigers",
  "turtles",
  "whales",
  "wolves",
];

/** Prompts with their choices, in the order of the cycle; no word is a choice of two prompts. */
export function choicePrompts(count: number): Map<string, readonly string[]> {
  if (3 * count > WORDS.length) {
    throw new RangeError(
      `Cannot run as there must be three words a prompt: ${WORDS.length} for ${count} prompts`,
    );
  }
  const words = shuffle(WORDS, randomStream(0, "choices"));
  return new Map(Array.from({ length: count }, (_, index) => {
    const choices = words.slice(3 * index, 3 * index + 3);
    return [`Choose one of these and say only its name: ${choices.join(", ")}.`, choices];
  }));
}

/** Ranks answers by the place of their word among the prompt's choices. */
export function cycleOracle(prompts: ReadonlyMap<string, readonly string[]>): PreferenceOracle {
  return {
    id: `choices-${STRENGTHS.join("-")}-${OTHER_LOSES}`,
    async *compare(groups) {
      for (const group of groups) {
        const choices = prompts.get(group.prompt.content as string)!;
        const places = group.responses.map(({ text }) => placeOf(text, choices));
        const preference = (i: number, j: number) =>
          GAME.preferences[places[i]! * GAME.size + places[j]!]!;
        const judgement = judge(group, preference);
        // Logits for the estimator that needs them: L_ij − L_ji = log(P/(1 − P)).
        const logits = judgement.preferences.map((p) => Math.log(p / (1 - p)) / 2);
        yield { ...judgement, logits };
      }
    },
  };
}

function placeOf(text: string, choices: readonly string[]): number {
  const place = choices.indexOf(text.trim().replace(/\.$/, "").toLowerCase());
  return place < 0 ? choices.length : place;
}

/** Probabilities of the three choices and of anything else, by prompt. */
export async function mixtures(
  policy: Policy,
  prompts: readonly Prompt[],
  choicesOf: (prompt: Prompt) => readonly string[],
): Promise<number[][]> {
  const groups = prompts.map((prompt) => ({
    prompt,
    responses: choicesOf(prompt).map((text) => ({ text, finishReason: "stop" as const })),
  }));
  const shares: number[][] = [];
  for await (const scored of policy.logProbs(groups)) {
    const named = scored.map((tokens) => Math.exp(tokens.reduce((sum, one) => sum + one, 0)));
    shares.push([...named, Math.max(0, 1 - named.reduce((sum, p) => sum + p, 0))]);
  }
  return shares;
}
