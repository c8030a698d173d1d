/**
 * The nouns and the mathematics of SPPO: policies, oracles, trainers, journals, and the loop of
 * self-play. No I/O, no packages, no permissions.
 *
 * @module
 */

export * from "./arithmetic.ts";
export * from "./best_of_n.ts";
export * from "./best_of_sampler.ts";
export * from "./estimators.ts";
export * from "./evaluate.ts";
export * from "./events.ts";
export * from "./exploitability.ts";
export * from "./hash.ts";
export * from "./journal.ts";
export * from "./judgements.ts";
export * from "./loop.ts";
export * from "./mixture_policy.ts";
export * from "./objectives/loss.ts";
export * from "./objectives/losses.ts";
export * from "./objectives/objectives.ts";
export * from "./objectives/step_loss.ts";
export * from "./oracle.ts";
export * from "./policy.ts";
export * from "./random.ts";
export {
  decodeJudgement,
  decodeSampled,
  encodeJudgement,
  encodeSampled,
  preferenceRows,
} from "./records.ts";
export * from "./selection.ts";
export * from "./self_play.ts";
export * from "./sources/given.ts";
export * from "./sources/goals.ts";
export * from "./sources/judged.ts";
export * from "./sources/source.ts";
export * from "./statistics.ts";
export * from "./tabular.ts";
export * from "./tabular_trainers.ts";
export * from "./targets.ts";
export * from "./trainer.ts";
export type { AskOptions, SamplingOptions } from "./ask.ts";
