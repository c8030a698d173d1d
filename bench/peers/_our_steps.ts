/**
 * Our side of a training step: the model, the adapter and pairs that the peer wrote, and steps on them
 * as the trainer takes them.
 *
 * @module
 */

import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import {
  type DecoderConfig,
  fedTokens,
  LanguageModel,
  loadAdapter,
  type LocalPolicy,
  openCheckpoint,
  OPTIMIZERS,
} from "../../models/mod.ts";
import type { PreparedGroup } from "../../models/training/prepare.ts";
import { takeStep } from "../../models/training/step.ts";
import type { StepData } from "./_stored_text.ts";

/** Relative: sums of some hundred token log-probabilities. */
const LOG_PROB_TOLERANCE = 1e-5;
/** AdamW as `torch_step.py` has it. */
const OPTIMIZER = { ...OPTIMIZERS.adamw, weightDecay: 0.01 };

/** Which programs get packed copies of the weights; see `CreateOnnxBackendOptions`. */
export type Packing = "decode" | "always";

/** What is loaded from where. */
export interface OurStepsOptions {
  readonly model: string;
  /** Folder of a PEFT adapter; all weights are trained when not given. */
  readonly adapter: string | undefined;
  /** File of the pairs, as `torch_step.py --write-ids` writes it. */
  readonly ids: string;
  readonly threads: number;
  readonly packing: Packing;
  readonly learningRate: number;
}

/** The model, with its starting adapter where it has one, and the pairs. */
export interface OurSteps {
  readonly versions: Readonly<Record<string, string>>;
  readonly config: DecoderConfig;
  /** What is trained, for the report. */
  readonly trained: Readonly<Record<string, number>>;
  readonly rows: number;
  /** Tokens of all rows, prompts included. */
  readonly tokens: number;
  /** Largest relative difference of the starting log-probabilities from the peer's. */
  readonly logProbDifference: number;
  /** A fit from the start; each call of `step` takes its next step. */
  start(): Promise<StepsUnderWay>;
}

/** A fit under way. */
export interface StepsUnderWay {
  step(): Promise<{ readonly seconds: number; readonly loss: number }>;
  dispose(): Promise<void>;
}

/**
 * How far a number is from the peer's, relative to the peer's.
 *
 * @throws {RangeError} When that is above the tolerance.
 */
export function relativeDifference(
  what: string,
  ours: number,
  theirs: number,
  tolerance: number,
): number {
  const difference = Math.abs(ours - theirs) / Math.abs(theirs);
  if (!(difference <= tolerance)) {
    throw new RangeError(
      `Cannot compare as both sides must have the same ${what} to ${tolerance}: ${ours} here, ${theirs} there`,
    );
  }
  return difference;
}

/** The pairs as the trainer prepares them: log π_t is scored by our own program, all rows together. */
async function prepare(
  policy: LocalPolicy,
  { eta, groups }: StepData,
): Promise<{ groups: PreparedGroup[]; logProbDifference: number }> {
  const scored = await policy.scoreSequences(
    groups.flatMap(({ prompt_ids: promptIds, responses }) =>
      responses.map(({ ids: responseIds }) => ({ promptIds, responseIds }))
    ),
  );
  let logProbDifference = 0;
  let next = 0;
  const prepared = groups.map(({ prompt_ids: promptIds, responses }) => ({
    responses: responses.map(({ ids: responseIds, win_rate: winRate, previous_log_prob }) => {
      const anchorLogProbs = scored[next++]!;
      const difference = relativeDifference(
        "log-probability",
        anchorLogProbs.reduce((sum, logProb) => sum + logProb, 0),
        previous_log_prob!,
        LOG_PROB_TOLERANCE,
      );
      logProbDifference = Math.max(logProbDifference, difference);
      const target = eta * (winRate - 0.5);
      const weight = 1 / responses.length;
      return { promptIds, responseIds, target, weight, winRate, anchorLogProbs };
    }),
  }));
  return { groups: prepared, logProbDifference };
}

/** Loads our side; `resources` disposes it. */
export async function loadOurSteps(
  options: OurStepsOptions,
  resources: AsyncDisposableStack,
): Promise<OurSteps> {
  const { threads, packing, learningRate } = options;
  const opened = resources.use(await openCheckpointFiles(options.model));
  const checkpoint = await openCheckpoint(opened.files);
  const backend = await createOnnxBackend({ threads, packing });
  resources.defer(() => backend.dispose());
  const { model, policy, trained } = await loadStart();
  resources.defer(() => model.dispose());
  const data = JSON.parse(await Deno.readTextFile(options.ids)) as StepData;
  const { groups, logProbDifference } = await prepare(policy, data);
  const responses = groups.flatMap((group) => group.responses);
  return {
    versions: backend.versions,
    config: checkpoint.config,
    trained,
    rows: responses.length,
    tokens: responses.reduce((sum, response) => sum + fedTokens(response) + 1, 0),
    logProbDifference,
    async start() {
      const fit = await model.fit(policy, { name: "sppo", beta: 1 / data.eta }, OPTIMIZER);
      const stepOptions = {
        optimizer: OPTIMIZER,
        learningRate,
        maxGradNorm: 0, // measured, as in every step, but not clipped
        tokensPerBatch: model.tokensPerBatch,
      };
      let taken = 0;
      return {
        async step() {
          const started = performance.now();
          const { loss } = await takeStep(fit, stepOptions, groups, ++taken);
          return { seconds: (performance.now() - started) / 1000, loss: loss! };
        },
        async dispose() {
          await fit.dispose();
          await fit.trained.dispose();
        },
      };
    },
  };

  async function loadStart() {
    if (options.adapter === undefined) {
      const model = await LanguageModel.load(checkpoint, backend, { trainable: { kind: "all" } });
      return { model, policy: await model.policy(), trained: {} };
    }
    using files = await openCheckpointFiles(options.adapter);
    const { lora, tensors } = await loadAdapter(files.files, checkpoint.config);
    const trainable = { kind: "lora", lora } as const;
    const model = await LanguageModel.load(checkpoint, backend, { trainable });
    const { rank, alpha, targets } = lora;
    return {
      model,
      policy: await model.policyFromTensors(tensors),
      trained: { rank, alpha, "adapted layers of a block": targets.length },
    };
  }
}
