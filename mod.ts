/**
 * Self-play preference optimization: the core and the scripted judges. Reaches no package; models,
 * backends and the command line have entry points of their own.
 *
 * @module
 */

export * from "./core/mod.ts";
export * from "./judges/mod.ts";
