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
export { type AnswerFeature, answerJudge } from "./answers/answer_feature.ts";
export { answerNumber, isNear, type Rational } from "./answers/answer_number.ts";
export { chrF } from "./answers/chrf.ts";
export { normalizeAnswer } from "./answers/exact_match.ts";
export { jsonSchema } from "./answers/json_schema.ts";
export {
  chrfFeature,
  exactFeature,
  type FieldOptions,
  numberFeature,
  type NumberFeatureOptions,
  rougeFeature,
} from "./answers/references.ts";
export { checksFeature, type ChecksFeatureOptions, schemaFeature } from "./answers/requirements.ts";
export { rougeL } from "./answers/rouge_l.ts";
export { cachedJudge, type CachedPair, type PairStore } from "./cached_judge.ts";
export { containsFeature, notFeature, valueFeature, type ValueFeatureOptions } from "./checks.ts";
export { classifier, cyclicJudge, type CyclicJudgeOptions } from "./cyclic_judge.ts";
export { refusalFeature, repetitionFeature } from "./detectors.ts";
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
export { parseFeature } from "./short_form/read_feature.ts";
export { judgeGrammarHelp } from "./short_form/help.ts";
export { type LanguageJudge, type ModelJudge } from "./short_form/model_judges.ts";
export {
  type ClosedJudge,
  closedJudges,
  combineTerms,
  type JudgeParts,
  type JudgeTerm,
  type ModuleJudge,
  type WrappedJudge,
} from "./short_form/judge_terms.ts";
export type { PersonJudge } from "./short_form/person_judge.ts";
export { parseJudge, readJudge } from "./short_form/read_judge.ts";
export type { WrapperName } from "./short_form/wrappers.ts";
export type {
  ChatAnswer,
  ChatBatchModel,
  ChatBatchOptions,
  ChatModel,
  ChatQuestionOptions,
} from "./language_model/chat_model.ts";
export {
  type JudgeMeter,
  languageModelJudge,
  type LanguageModelJudgeOptions,
} from "./language_model/language_model_judge.ts";
export { ownTemplate, type OwnTemplateOptions } from "./language_model/own_template.ts";
export {
  type AnswerForm,
  type PairwiseTemplate,
  pairwiseTemplates,
  promptText,
  VERDICT_MARKS,
} from "./language_model/pairwise_template.ts";
export { JudgeError, readVerdict, type Verdict } from "./language_model/read_verdict.ts";
export {
  humanJudge,
  type HumanJudgeOptions,
  type HumanVote,
  voteKey,
  type VoteStore,
} from "./people/human_judge.ts";
export {
  type HumanAnswer,
  type HumanQuestion,
  takingTurns,
  unlessAborted,
  type Voter,
  type VotingSession,
} from "./people/voter.ts";
export { mixtureJudge, type MixtureTerm } from "./mixture_judge.ts";
export { type OrderReport, type OrderSwapJudge, orderSwapJudge } from "./order_swap.ts";
export { pairJudge, type PairJudgeOptions, type PairModel } from "./pair_rm.ts";
export { panelJudge, type PanelOptions } from "./panel_judge.ts";
export {
  commonPairs,
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
