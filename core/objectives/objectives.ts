/**
 * The objectives: what is trained on what, with which loss. One total table; docs/objectives.md says
 * the same for people.
 *
 * @module
 */

import type { Selection } from "../selection.ts";
import type { Goal } from "../sources/goals.ts";
import type { Anchor } from "./loss.ts";
import type { LossSpec } from "./losses.ts";

/** Name of an objective, as `--loss` takes it. */
export type ObjectiveName =
  | "sppo"
  | "sppo-hard"
  | "sppo-single"
  | "gpo"
  | "sft"
  | "spin"
  | "spin-hinge"
  | "dpo"
  | "dpo-hinge"
  | "robust"
  | "ipo"
  | "ipo-mean"
  | "kto-pair"
  | "simpo"
  | "orpo"
  | "online-dpo"
  | "rlhf"
  | "nash-md"
  | "best-of-n";

/**
 * Where groups may come from: the policy's responses and a judge, pairs that are given, demonstrations
 * that are given, demonstrations against the policy's responses.
 */
export type ObjectiveSource = "judge" | "pairs" | "demonstrations" | "own-against-demonstrations";

/** Numbers that objectives may read, beside β. */
export interface ObjectiveNumbers {
  /** Share of labels taken to be wrong. */
  readonly labelSmoothing: number;
  /** γ of SimPO. */
  readonly margin: number;
  /** ε of the clipped policy gradient. */
  readonly clip: number;
}

/** What a loss is made from. */
export interface ObjectiveParameters extends ObjectiveNumbers {
  /** β = 1/η. */
  readonly beta: number;
  /** Whom log-ratios are taken against, where that can be chosen. */
  readonly against: Anchor;
}

/** An objective. */
export interface Objective {
  /** Where it is from: authors, year, arXiv number. */
  readonly paper: string;
  /** Where groups may come from, the most natural first. */
  readonly sources: readonly ObjectiveSource[];
  /** Makes the loss; absent where nothing is trained. */
  readonly loss?: (parameters: ObjectiveParameters) => LossSpec;
  /** What targets are made of; `none` where the loss reads none. */
  readonly goal: Goal | "none";
  /** How responses may be selected, the default first. */
  readonly selections: readonly Selection[];
  /** β where none is given; absent where that is the preset's η. */
  readonly beta?: number;
  /** Whom log-ratios are taken against if not said otherwise; absent where there is no choice. */
  readonly against?: Anchor;
  /** The numbers it reads, with their defaults. */
  readonly numbers?: Partial<ObjectiveNumbers>;
  /** K where none is given. */
  readonly samples?: number;
}

const SPPO = "Wu et al. 2024, arXiv:2405.00675";
const DPO = "Rafailov et al. 2023, arXiv:2305.18290";
const IPO = "Azar et al. 2023, arXiv:2310.12036";
const SPIN = "Chen et al. 2024, arXiv:2401.01335";

/** What comparisons of two responses with a reference policy have in common. */
const contrast = {
  sources: ["judge", "pairs"],
  goal: "none",
  selections: ["best-worst"],
  against: "previous",
} as const;

/** What SPPO's forms have in common. */
const regression = {
  paper: SPPO,
  sources: ["judge", "pairs"],
  loss: ({ beta }: ObjectiveParameters): LossSpec => ({ name: "sppo", beta }),
} as const;

/**
 * The objectives by name.
 *
 * @example
 * ```ts
 * import { objectives } from "./objectives.ts";
 * import assert from "node:assert/strict";
 * const { loss, beta } = objectives.ipo;
 * const numbers = { labelSmoothing: 0, margin: 0, clip: 0.2 };
 * assert.deepEqual(loss!({ beta: beta!, against: "previous", ...numbers }), {
 *   name: "ipo", beta: 0.1, against: "previous",
 * });
 * ```
 */
export const objectives: { readonly [N in ObjectiveName]: Objective } = {
  sppo: { ...regression, goal: "win-rate", selections: ["best-worst", "all"] },
  "sppo-hard": {
    ...contrast,
    paper: `${SPPO}, with P of 1 and 0`,
    loss: ({ beta, against }) => ({ name: "sppo-hard", beta, against }),
  },
  "sppo-single": { ...regression, goal: "pair", selections: ["best-worst"] },
  gpo: {
    ...regression,
    paper: "Zhang et al. 2024, arXiv:2410.02197",
    sources: ["judge"],
    goal: "score",
    selections: ["best-worst", "all"],
  },
  sft: {
    paper: "token likelihood",
    sources: ["demonstrations", "judge"],
    loss: () => ({ name: "sft" }),
    goal: "none",
    selections: ["best"],
  },
  spin: {
    paper: SPIN,
    sources: ["own-against-demonstrations"],
    loss: ({ beta, against }) => ({ name: "dpo", beta, against, labelSmoothing: 0 }),
    goal: "none",
    selections: [],
    beta: 0.1,
    against: "previous",
    samples: 1,
  },
  "spin-hinge": {
    paper: SPIN,
    sources: ["own-against-demonstrations"],
    loss: ({ beta, against }) => ({ name: "hinge", beta, against }),
    goal: "none",
    selections: [],
    beta: 0.1,
    against: "previous",
    samples: 1,
  },
  dpo: {
    ...contrast,
    paper: DPO,
    loss: ({ beta, against, labelSmoothing }) => ({ name: "dpo", beta, against, labelSmoothing }),
    beta: 0.1,
    numbers: { labelSmoothing: 0 },
  },
  "dpo-hinge": {
    ...contrast,
    paper: "Zhao et al. 2023, arXiv:2305.10425",
    loss: ({ beta, against }) => ({ name: "hinge", beta, against }),
    beta: 0.1,
  },
  robust: {
    ...contrast,
    paper: "Chowdhury et al. 2024, arXiv:2403.00409",
    loss: ({ beta, against, labelSmoothing }) => ({
      ...{ name: "robust", beta, against, labelSmoothing },
    }),
    beta: 0.1,
    numbers: { labelSmoothing: 0.1 },
  },
  ipo: {
    ...contrast,
    paper: IPO,
    loss: ({ beta, against }) => ({ name: "ipo", beta, against }),
    beta: 0.1,
  },
  "ipo-mean": {
    ...contrast,
    paper: IPO,
    loss: ({ beta, against }) => ({ name: "ipo-mean", beta, against }),
    beta: 0.1,
  },
  "kto-pair": {
    ...contrast,
    paper: "Ethayarajh et al. 2024, arXiv:2402.01306",
    loss: ({ beta, against }) => ({ name: "kto-pair", beta, against }),
    beta: 0.1,
  },
  simpo: {
    paper: "Meng et al. 2024, arXiv:2405.14734",
    sources: ["judge", "pairs"],
    loss: ({ beta, margin }) => ({ name: "simpo", beta, margin }),
    goal: "none",
    selections: ["best-worst"],
    beta: 2,
    numbers: { margin: 0.5 },
  },
  orpo: {
    paper: "Hong et al. 2024, arXiv:2403.07691",
    sources: ["judge", "pairs"],
    loss: ({ beta }) => ({ name: "orpo", beta }),
    goal: "none",
    selections: ["best-worst"],
    beta: 0.1,
  },
  "online-dpo": {
    ...contrast,
    paper: "Guo et al. 2024, arXiv:2402.04792",
    sources: ["judge"],
    loss: ({ beta, against }) => ({ name: "dpo", beta, against, labelSmoothing: 0 }),
    against: "reference",
    beta: 0.1,
    samples: 2,
  },
  rlhf: {
    paper: "Ahmadian et al. 2024, arXiv:2402.14740; Schulman et al. 2017, arXiv:1707.06347",
    sources: ["judge"],
    loss: ({ beta, clip }) => ({ name: "policy-gradient", beta, clip }),
    goal: "reward",
    selections: ["all"],
    beta: 0.05,
    numbers: { clip: 0.2 },
  },
  "nash-md": {
    paper: "Munos et al. 2023, arXiv:2312.00886",
    sources: ["judge"],
    loss: ({ beta, clip }) => ({ name: "policy-gradient", beta, clip }),
    goal: "regularized",
    selections: ["all"],
    beta: 0.1,
    numbers: { clip: 0.2 },
  },
  "best-of-n": {
    paper: "Stiennon et al. 2020, arXiv:2009.01325",
    sources: ["judge"],
    goal: "none",
    selections: [],
    samples: 16,
  },
};
