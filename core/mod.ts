/**
 * The nouns and the mathematics: policies, oracles, trainers, preference tables, one loop. No I/O, no
 * packages, no permission needed.
 *
 * @module
 */

export * from "./arithmetic.ts";
export * from "./estimators.ts";
export * from "./evaluate.ts";
export * from "./journal.ts";
export * from "./judgements.ts";
export * from "./losses.ts";
export * from "./oracle.ts";
export * from "./policy.ts";
export * from "./random.ts";
export * from "./selection.ts";
export * from "./statistics.ts";
export * from "./targets.ts";
export * from "./trainer.ts";
