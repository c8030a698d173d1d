/**
 * What `sppo train` is to do: its options settled with each other and with the objective.
 *
 * @module
 */

import type { LossSpec } from "../../core/objectives/losses.ts";
import {
  type Objective,
  type ObjectiveNumbers,
  objectives,
  type ObjectiveSource,
} from "../../core/objectives/objectives.ts";
import { flagName, type SomeValues, type Values } from "../options/spec.ts";
import { resolveValues } from "../options/parse.ts";
import { presets, trainOptions } from "../options/train_options.ts";

type Options = typeof trainOptions;
type Given = readonly SomeValues<Options>[];

/** Options that always have a value, from a preset or another option where not given. */
type Preset = "eta" | "trainable" | "optimizer" | "learningRate" | "epochs" | "batch";

/** Values of the options; β has become η, and `none` no judge. */
export type TrainValues =
  & Values<Options>
  & { readonly [K in Preset]: NonNullable<Values<Options>[K]> };

/** The options with the objective they name. */
export interface SettledTrain {
  readonly values: TrainValues;
  readonly objective: Objective;
  /** Where groups come from. */
  readonly source: ObjectiveSource;
  /** Absent where nothing is trained. */
  readonly loss: LossSpec | undefined;
}

const NUMBERS = ["labelSmoothing", "margin", "clip"] as const satisfies readonly (
  keyof ObjectiveNumbers
)[];

/**
 * Settles options.
 *
 * @param given Values of the flags, of the configuration file, of the run's record, the first counting.
 * @throws {TypeError} When one is missing that the objective needs.
 * @throws {RangeError} When one was given that makes no sense with the others.
 */
export function settleTrain(given: Given): SettledTrain {
  const preset = given.find((layer) => layer.preset !== undefined)?.preset ?? "lora";
  const first = <K extends keyof Options>(key: K) =>
    given.find((layer) => layer[key] !== undefined)?.[key];
  const name = first("loss") ?? "sppo";
  const objective = objectives[name];
  const source = sourceOf(given, name, objective);
  const fixed = source === "pairs" || source === "demonstrations";
  const values = resolveValues(trainOptions, [
    ...given,
    {
      ...(objective.samples === undefined ? {} : { samples: objective.samples }),
      // Pairs that are given are gone through once, unless it is said that they are split.
      ...(fixed || objective.loss === undefined ? { iterations: 1 } : {}),
    },
    presets[preset],
  ]);
  const judge = values.judge === "none" ? undefined : values.judge;
  if (values.heldOut !== undefined && judge === undefined) {
    throw new RangeError(
      `Cannot use --held-out as evaluating needs a judge: ${values.heldOut}; give --judge`,
    );
  }
  const eta = etaOf(given, objective) ?? values.eta!;
  const { beta: _, ...rest } = values;
  const settled = {
    ...rest,
    judge,
    eta,
    selection: selectionOf(values, objective, source),
  } as TrainValues;
  refuseUnread(settled, objective, source);
  return { values: settled, objective, source, loss: lossOfValues(settled, objective) };
}

/** Where groups come from, by what was given. */
function sourceOf(given: Given, name: string, { sources }: Objective): ObjectiveSource {
  const of = (key: "pairs" | "prompts" | "judge") =>
    given.find((layer) => layer[key] !== undefined)?.[key];
  const [pairs, prompts, judge] = [of("pairs"), of("prompts"), of("judge")];
  const missing = (key: "pairs" | "prompts" | "judge", why: string) =>
    new TypeError(`Cannot start as ${flagName(key)} must be given: ${why}`);
  if (pairs !== undefined) {
    const from = sources.find((each) => each !== "judge");
    if (from === undefined) {
      throw new RangeError(
        `Cannot use --pairs as --loss ${name} trains on the policy's own responses, judged: ${pairs}; leave it out`,
      );
    }
    if (prompts !== undefined) {
      throw new RangeError(
        `Cannot use --prompts as --pairs has prompts of its own: ${prompts}; leave one out`,
      );
    }
    return from;
  }
  if (!sources.includes("judge")) {
    throw missing("pairs", `--loss ${name} learns from the chosen responses of a file`);
  }
  if (prompts === undefined) throw missing("prompts", trainOptions.prompts.help);
  if (judge === undefined || judge === "none") {
    throw missing("judge", `--loss ${name} trains on what a judge says of the policy's responses`);
  }
  return "judge";
}

/** η where --eta or --beta says it, whichever counts first, or the objective. */
function etaOf(given: Given, objective: Objective): number | undefined {
  for (const { eta, beta } of given) {
    if (eta !== undefined && beta !== undefined) {
      throw new RangeError(`Cannot use --beta as it is 1 over --eta: ${beta} and ${eta}; give one`);
    }
    if (eta !== undefined) return eta;
    if (beta !== undefined) return 1 / beta;
  }
  return objective.beta === undefined ? undefined : 1 / objective.beta;
}

function selectionOf(
  { loss, selection }: Values<Options>,
  { selections }: Objective,
  source: ObjectiveSource,
): Values<Options>["selection"] {
  const allowed = source === "judge" ? selections : [];
  if (selection === undefined) return allowed[0];
  if (allowed.includes(selection)) return selection;
  throw new RangeError(
    allowed.length === 0
      ? `Cannot use --selection as there is nothing to select: ${selection}; leave it out`
      : `Cannot use --selection as --loss ${loss} must have ${
        allowed.join(" or ")
      }: ${selection}; leave it out`,
  );
}

/** Refuses options that were given and that nothing would read. */
function refuseUnread(values: TrainValues, objective: Objective, source: ObjectiveSource): void {
  const { numbers = {}, goal, against } = objective;
  const judged = source === "judge";
  const targets = goal === "win-rate" || goal === "pair" || goal === "score";
  const read: Partial<Record<keyof Options, boolean>> = {
    ...Object.fromEntries(NUMBERS.map((name) => [name, name in numbers])),
    reference: against !== undefined,
    reward: goal === "reward",
    mixture: goal === "regularized",
    etaSchedule: targets,
    normalizer: judged && goal === "win-rate",
    estimator: judged,
    preferenceTemperature: judged,
    selfTerm: judged,
  };
  for (const [key, used] of Object.entries(read)) {
    const spec = trainOptions[key as keyof Options];
    const value = values[key as keyof Options];
    if (used || value === undefined || ("default" in spec && value === spec.default)) continue;
    throw new RangeError(
      `Cannot use ${flagName(key)} as --loss ${values.loss}${
        judged ? "" : " from a file"
      } does not read it: ${value}; leave it out`,
    );
  }
  if (judged && values.samples < 2) {
    throw new RangeError(
      `Cannot use --samples as at least 2 responses must be compared: ${values.samples}`,
    );
  }
  if (objective.loss === undefined && values.heldOut === undefined) {
    throw new TypeError(
      `Cannot start as --held-out must be given: --loss ${values.loss} trains nothing, and is evaluated`,
    );
  }
}

function lossOfValues(values: TrainValues, objective: Objective): LossSpec | undefined {
  const number = (name: keyof ObjectiveNumbers) => values[name] ?? objective.numbers?.[name] ?? 0;
  const anchors = { previous: "previous", start: "reference" } as const;
  return objective.loss?.({
    beta: 1 / values.eta,
    against: values.reference === undefined
      ? objective.against ?? "previous"
      : anchors[values.reference],
    labelSmoothing: number("labelSmoothing"),
    margin: number("margin"),
    clip: number("clip"),
  });
}
