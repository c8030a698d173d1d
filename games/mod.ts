/**
 * Preference games over finite sets of answers.
 *
 * @module
 */

export * from "./matrix_game.ts";
