/**
 * The options of `sppo judge compare`.
 *
 * @module
 */

import { backend, common, promptColumn } from "./shared.ts";
import type { OptionTable } from "./spec.ts";

/** Options of `sppo judge compare`. */
export const judgeCompareOptions = {
  judges: {
    type: "list",
    value: "JUDGES",
    positional: true,
    group: "Judge",
    help: "what compares responses, a word each, as for sppo judge; none: the labels alone",
  },
  swap: {
    type: "switch",
    default: false,
    group: "Judge",
    help: "ask judges in both orders, at twice the cost, and count where the order decides",
  },
  input: {
    type: "text",
    value: "FILE",
    required: true,
    group: "Data",
    help: "responses and their labels: preferences or verdicts, or chosen and rejected",
  },
  ...promptColumn,
  journal: {
    type: "text",
    value: "FOLDER",
    group: "Data",
    help: "where judgements are kept as they come: the same command goes on from them",
  },
  json: { type: "text", value: "FILE", group: "Data", help: "file to write all figures to" },
  ...backend,
  ...common,
} as const satisfies OptionTable;
