/**
 * The options of `sppo bench`.
 *
 * @module
 */

import { backend, common } from "./shared.ts";
import type { OptionTable } from "./spec.ts";

/** Options of `sppo bench`. */
export const benchOptions = {
  backends: {
    type: "list",
    value: "NAMES",
    group: "What",
    help: "backends to measure (default: all that this machine has)",
  },
  questions: {
    type: "list",
    value: "NAMES",
    group: "What",
    help: "questions to answer (default: all)",
  },
  threads: backend.threads,
  budget: {
    type: "number",
    above: 0,
    default: 0.3,
    group: "Time",
    help: "seconds that each case is measured on each backend",
  },
  longest: {
    type: "number",
    above: 0,
    default: 3,
    group: "Time",
    help: "seconds of a run; cases that would take longer on a backend are left out",
  },
  plots: {
    type: "text",
    value: "DIR",
    group: "Output",
    help: "folder for the picture, bench.svg",
  },
  json: { type: "text", value: "FILE", group: "Output", help: "all that was measured, as JSON" },
  ...common,
} as const satisfies OptionTable;
