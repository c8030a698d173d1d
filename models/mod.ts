/**
 * Language models: architectures as programs, checkpoints, text, policies and trainers. Receives a
 * backend as a value and uses no Deno API, so that it runs in a browser.
 *
 * @module
 */

export type {
  Arithmetic,
  FinishReason,
  Journal,
  Json,
  Loss,
  LossName,
  LossSpec,
  Message,
  Policy,
  Prompt,
  Response,
  ResponseGroup,
  Sampled,
  SampleOptions,
  Sampler,
  Scorer,
  StepMetrics,
  TokenLogProbs,
  Trainer,
  TrainingGroup,
  TrainingResponse,
  TrainingTask,
  TrainOptions,
} from "../core/mod.ts";
export * from "./architectures/mod.ts";
export * from "./checkpoints/byte_source.ts";
export type { Gguf, GgufList, GgufValue } from "./checkpoints/gguf.ts";
export type { GgufStrings } from "./checkpoints/gguf_strings.ts";
export * from "./checkpoints/gguf_config.ts";
export * from "./checkpoints/huggingface_config.ts";
export * from "./checkpoints/open.ts";
export * from "./checkpoints/peft.ts";
export * from "./checkpoints/safetensors.ts";
export * from "./checkpoints/write.ts";
export * from "./generation/choose_sampling.ts";
export * from "./generation/choose_token.ts";
export * from "./generation/generate.ts";
export * from "./generation/mix_decoders.ts";
export * from "./generation/precision.ts";
export * from "./generation/sampled_adapter.ts";
export * from "./language_model.ts";
export * from "./language_model_options.ts";
export * from "./local_chat.ts";
export * from "./local_policy.ts";
export * from "./policy_files.ts";
export {
  checkpointTrunk,
  isTrainedJudge,
  judgeFiles,
  judgeParts,
  openTrainedJudge,
} from "./preference/judge_files.ts";
export {
  type LabelledGroup,
  type LabelledPair,
  labelledPairs,
} from "./preference/labelled_group.ts";
export { PairRanker } from "./preference/pair_ranker.ts";
export {
  PreferenceEmbedder,
  type PreferenceEmbedderOptions,
} from "./preference/preference_embedder.ts";
export { headOutputs, type PreferenceHead } from "./preference/preference_head.ts";
export { labelledGroup } from "./preference/read_labels.ts";
export {
  openClassifier,
  openRewardModel,
  type ReaderParts,
  ResponseReader,
  type ResponseReaderOptions,
} from "./preference/response_reader.ts";
export {
  type JudgeStep,
  type TrainedJudge,
  trainJudge,
  type TrainJudgeOptions,
  type TrunkParts,
} from "./preference/train_judge.ts";
export { type PairLayout, pairLayout } from "./preference/pair_layout.ts";
export type { Head, SequenceReaderOptions, TrunkAdapter } from "./preference/sequence_reader.ts";
export type { ConversationLayout } from "./preference/conversation_layout.ts";
export type { PlacedSequence, Trunk } from "./preference/trunk.ts";
export * from "./programs/decode.ts";
export * from "./programs/likelihood.ts";
export * from "./programs/loss_terms.ts";
export * from "./programs/optimizer.ts";
export * from "./remote/openai_chat.ts";
export * from "./remote/openai_sampler.ts";
export * from "./sequences.ts";
export type { TokenizerDescription } from "./text/gguf_tokenizer.ts";
export * from "./text/text_codec.ts";
export * from "./text/tokenizer.ts";
export * from "./training/fit.ts";
export * from "./training/lm_trainer.ts";
export * from "./training/schedule.ts";
