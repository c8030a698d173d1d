/**
 * Scripted judges: preference oracles that look at the text alone.
 *
 * @module
 */

export { classifier, cyclicJudge, type CyclicJudgeOptions } from "./cyclic_judge.ts";
export * from "./features.ts";
export {
  featureJudge,
  jsonJudge,
  lengthJudge,
  type LengthJudgeOptions,
  lexiconJudge,
  type LexiconJudgeOptions,
  type NoiseOptions,
  regexJudge,
  type RegexJudgeOptions,
  type SharpnessOptions,
} from "./feature_judge.ts";
export { judgeGrammarHelp, parseJudge } from "./grammar.ts";
export { mixtureJudge, type MixtureTerm } from "./mixture_judge.ts";
