/**
 * Packages that tests use, each pinned once.
 *
 * @module
 */

export { default as fc } from "npm:fast-check@4.10.2";
export { default as loadWabt } from "npm:wabt@1.0.39";
