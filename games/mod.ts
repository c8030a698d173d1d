/**
 * Preference games over finite sets of answers.
 *
 * @module
 */

export * from "./algorithms.ts";
export * from "./bradley_terry.ts";
export * from "./dynamics/hedge.ts";
export type { PayoffPrecision } from "./kernel/antisymmetric.ts";
export type { Eta, Iterates } from "./dynamics/iterates.ts";
export * from "./dynamics/regression.ts";
export { sparring, type SparringOptions } from "./dynamics/sparring.ts";
export * from "./dynamics/with_reference.ts";
export * from "./equilibrium.ts";
export * from "./matrix_game.ts";
export * from "./parse_game.ts";
export * from "./play.ts";
export * from "./random_games.ts";
export * from "./triads.ts";
export * from "./votes.ts";
export * from "./winners.ts";
