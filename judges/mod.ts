/**
 * Judges: preference oracles that look at the text alone, and ones over models, which come in as
 * arguments.
 *
 * @module
 */

export {
  type Agreement,
  agreement,
  type JudgedPair,
  labelTriads,
  type ReliabilityRow,
} from "./agreement.ts";
export { cachedJudge, type CachedPair, type PairStore } from "./cached_judge.ts";
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
export {
  type EmbeddingModel,
  type Embeddings,
  generalPreferenceJudge,
  skewScore,
} from "./general_preference.ts";
export {
  combineTerms,
  isModelJudge,
  judgeGrammarHelp,
  type JudgeTerm,
  type ModelJudge,
  parseJudge,
  readJudge,
} from "./grammar.ts";
export { mixtureJudge, type MixtureTerm } from "./mixture_judge.ts";
export { type OrderReport, type OrderSwapJudge, orderSwapJudge } from "./order_swap.ts";
export { pairJudge, type PairJudgeOptions, type PairModel } from "./pair_rm.ts";
export { panelJudge, type PanelOptions } from "./panel_judge.ts";
export {
  type RatedGroup,
  type RaterAgreement,
  raterAgreement,
  type RaterFacts,
  raterFacts,
} from "./raters.ts";
export {
  fitTemperature,
  noisyJudge,
  type NoisyJudgeOptions,
  temperedJudge,
} from "./reshaped_judge.ts";
export {
  lengthPenalised,
  rewardEnsemble,
  rewardJudge,
  type RewardModel,
  type RewardTerm,
} from "./reward_judge.ts";
export { bestOf, bubbleBest, type RankPolicy, rankScores, ranksOf } from "./ranking.ts";
