/**
 * Judges of answers to the questions about animals: the one that trains, the one that scores and is
 * never trained on, and one that knows nothing and is sure of it.
 *
 * @module
 */

import {
  judge,
  type Judgement,
  type PreferenceOracle,
  randomStream,
  sigmoid,
} from "../../core/mod.ts";
import { lengthFeature } from "../../judges/mod.ts";

/** Bound of every preference of the judges that know something. */
const CAP = 0.95;

/** The animals a question is about, in the plural, as the question names them. */
const ANIMALS = /\b(?:do people like|special about|do) (\w+)/;

function animalsOf(question: string): string {
  const found = ANIMALS.exec(question)?.[1];
  if (found !== undefined) return found;
  throw new RangeError(`Cannot judge as the question must name animals: ${question}`);
}

/** A judge of a number in [0, 1] that an answer to a question has. */
function scoringJudge(
  id: string,
  sharpness: number,
  score: (answer: string, animals: string) => number,
): PreferenceOracle {
  return {
    id: `${id}@sharpness=${sharpness},cap=${CAP}`,
    async *compare(groups) {
      for (const group of groups) {
        const animals = animalsOf(group.prompt.content as string);
        const scores = group.responses.map(({ text }) => score(text, animals));
        yield withLogits(judge(group, (i, j) => {
          const difference = scores[i]! - scores[j]!;
          return 0.5 + (2 * CAP - 1) * (sigmoid(sharpness * difference) - 0.5);
        }));
      }
    },
  };
}

/** Logits for what reads scores: L_ij − L_ji = log(P/(1 − P)). */
function withLogits(judgement: Judgement): Judgement {
  return { ...judgement, logits: judgement.preferences.map((p) => Math.log(p / (1 - p)) / 2) };
}

const short = lengthFeature({ min: 5, max: 12 });

/** Trains: half for 5 to 12 words, half for an answer that begins with the animals asked about. */
export const trainingJudge: PreferenceOracle = scoringJudge(
  "short and begins with the animals",
  8,
  (answer, animals) =>
    (short.score(answer) + (answer.toLowerCase().startsWith(animals) ? 1 : 0)) / 2,
);

/**
 * Scores: a third each for being one whole sentence of at least four words, for naming the animals
 * anywhere, and for no word of four letters or more twice. It wants what the training judge wants, and
 * sees other things of it, so that what only flatters that judge does not win here.
 */
export const scoringOracle: PreferenceOracle = scoringJudge(
  "one sentence about the animals without repetition",
  8,
  (answer, animals) => {
    const words: readonly string[] = answer.toLowerCase().match(/[a-z]+/g) ?? [];
    const long = words.filter((word) => word.length >= 4);
    const sentence = /^[A-Z][^.!?]*[.!?]$/.test(answer.trim()) && words.length >= 4;
    const named = words.includes(animals);
    return ((sentence ? 1 : 0) + (named ? 1 : 0) + (new Set(long).size === long.length ? 1 : 0)) /
      3;
  },
);

/** Sure of differences that are not there: a coin for each pair of texts, and P of .95 for who wins it. */
export const overconfidentJudge: PreferenceOracle = {
  id: `a coin for each pair, ${CAP}`,
  async *compare(groups) {
    for (const group of groups) {
      const texts = group.responses.map(({ text }) => text);
      yield withLogits(judge(group, (i, j) => {
        if (texts[i] === texts[j]) return 0.5;
        const [first, second] = [texts[i]!, texts[j]!].sort() as [string, string];
        const heads = randomStream(0, "coin", group.prompt.id, first, second).next() < 0.5;
        return heads === (first === texts[i]) ? CAP : 1 - CAP;
      }));
    }
  },
};
