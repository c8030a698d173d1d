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

/** A game of three choices that beat each other in a cycle, and of whatever else may be answered. */
export interface ChoiceGame {
  /** How often the first choice beats the second, the second the third, the third the first. */
  readonly strengths: readonly [number, number, number];
  /** P over the first, second and third choice, and anything else. */
  readonly matrix: PreferenceMatrix;
}

/** How often any choice beats an answer that is none. */
export const OTHER_LOSES = 0.98;

/** The game of some strengths. */
export function choiceGame(strengths: readonly [number, number, number]): ChoiceGame {
  const [ab, bc, ca] = strengths, o = OTHER_LOSES;
  // deno-fmt-ignore
  const preferences = [
    0.5, ab, 1 - ca, o,
    1 - ab, 0.5, bc, o,
    ca, 1 - bc, 0.5, o,
    1 - o, 1 - o, 1 - o, 0.5,
  ];
  return { strengths, matrix: { size: 4, preferences } };
}

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

/** How a prompt is written: as a question to a chat model, or as a text that the model goes on with. */
export type PromptForm = "question" | "continued";

/** Prompts with their choices. */
export interface ChoicePrompts {
  readonly prompts: readonly Prompt[];
  /** A prompt's choices, in the order of the cycle. */
  choicesOf(prompt: Prompt): readonly string[];
  /** The text that answers with a choice, as it is scored and taught. */
  answer(choice: string): string;
  /** Texts that end an answer. */
  readonly stop: readonly string[];
}

/** Prompts that name three choices; no word is a choice of two prompts. */
export function choicePrompts(count: number, form: PromptForm): ChoicePrompts {
  if (3 * count > WORDS.length) {
    throw new RangeError(
      `Cannot run as there must be three words a prompt: ${WORDS.length} for ${count} prompts`,
    );
  }
  const words = shuffle(WORDS, randomStream(0, "choices"));
  const choices = Array.from(
    { length: count },
    (_, index) => words.slice(3 * index, 3 * index + 3),
  );
  const question = form === "question";
  return {
    prompts: choices.map((names, index) => ({
      id: `${index}`,
      content: question
        ? `Choose one of these and say only its name: ${names.join(", ")}.`
        : `Choose one: ${names.join(", ")}. I choose`,
    })),
    choicesOf: ({ id }) => choices[Number(id)]!,
    answer: (choice) => question ? choice : ` ${choice}.`,
    stop: question ? [] : ["."],
  };
}

/** Ranks answers by the place of their word among the prompt's choices. */
export function cycleOracle(
  { strengths, matrix }: ChoiceGame,
  choicesOf: ChoicePrompts["choicesOf"],
): PreferenceOracle {
  return {
    id: `choices-${strengths.join("-")}-${OTHER_LOSES}`,
    async *compare(groups) {
      for (const group of groups) {
        const choices = choicesOf(group.prompt);
        const places = group.responses.map(({ text }) => placeOf(text, choices));
        const preference = (i: number, j: number) =>
          matrix.preferences[places[i]! * matrix.size + places[j]!]!;
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
  { prompts, choicesOf, answer }: ChoicePrompts,
): Promise<number[][]> {
  const groups = prompts.map((prompt) => ({
    prompt,
    responses: choicesOf(prompt).map((choice) => ({
      text: answer(choice),
      finishReason: "stop" as const,
    })),
  }));
  const shares: number[][] = [];
  for await (const scored of policy.logProbs(groups)) {
    const named = scored.map((tokens) => Math.exp(tokens.reduce((sum, one) => sum + one, 0)));
    shares.push([...named, Math.max(0, 1 - named.reduce((sum, p) => sum + p, 0))]);
  }
  return shares;
}
