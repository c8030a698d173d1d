/**
 * Trainers of tabular policies: the exact step, and gradient descent on the loss of SPPO.
 *
 * @module
 */

import { numbers } from "./arithmetic.ts";
import type { Journal } from "./journal.ts";
import type { Loss } from "./objectives/loss.ts";
import { losses, lossOf, type LossSpec } from "./objectives/losses.ts";
import { stepLoss, type StepResponse, stepSlopes } from "./objectives/step_loss.ts";
import type { TabularPolicy } from "./tabular.ts";
import type { Trainer, TrainingGroup } from "./trainer.ts";

/**
 * Multiplicative weights in closed form: log π_{t+1}(y) = log π_t(y) + target(y) − log Z, which makes
 * the loss 0 up to the normaliser. Answers that are not in a group have target 0; of an answer that is
 * in it more than once the mean target counts. One step, whose loss is taken before it.
 *
 * Source: Freund and Schapire 1999; Wu et al. 2024, arXiv:2405.00675.
 *
 * @example
 * ```ts
 * import { tabularPolicy } from "./tabular.ts";
 * import { multiplicativeWeights } from "./tabular_trainers.ts";
 * import { discardingJournal } from "./journal.ts";
 * import assert from "node:assert/strict";
 * const policy = tabularPolicy({ answers: { p: ["yes", "no"] } });
 * const prompt = { id: "p", content: "?" };
 * const responses = [
 *   { response: { text: "yes" }, target: Math.log(3), weight: 0.5 },
 *   { response: { text: "no" }, target: 0, weight: 0.5 },
 * ];
 * const task = {
 *   previousPolicy: policy,
 *   referencePolicy: policy,
 *   groups: [{ prompt, responses }],
 *   iteration: 1,
 * };
 * const steps = multiplicativeWeights().train(task, { journal: discardingJournal() });
 * let next = await steps.next();
 * assert.equal(next.done, false);
 * next = await steps.next();
 * if (next.done) assert.ok(Math.abs(next.value.probabilities("p")[0]! - 0.75) < 1e-12);
 * ```
 */
export function multiplicativeWeights(): Trainer<TabularPolicy> {
  return {
    id: "multiplicative-weights",
    async *train({ previousPolicy, groups }, { journal, signal }) {
      signal?.throwIfAborted();
      const logWeights = new Map<string, Float64Array>();
      for (const group of groups) {
        const indexed = indexResponses(previousPolicy, group);
        const size = previousPolicy.answers(group.prompt.id).length;
        const sums = new Float64Array(size), counts = new Float64Array(size);
        for (const { index, target } of indexed) {
          sums[index]! += target;
          counts[index]! += 1;
        }
        const values = logWeights.get(group.prompt.id) ??
          previousPolicy.logProbsOf(group.prompt.id).slice();
        for (let index = 0; index < size; index++) {
          if (counts[index]! > 0) values[index]! += sums[index]! / counts[index]!;
        }
        logWeights.set(group.prompt.id, values);
      }
      const policy = previousPolicy.with(logWeights);
      await journal.write("policy", encodeTable(policy));
      const loss = meanLoss(losses.sppo({ beta: 1 }), previousPolicy, previousPolicy, groups);
      yield { step: 1, loss };
      return policy;
    },
    restore: restoreTable,
  };
}

/** Options of {@linkcode gradientDescent}. */
export interface GradientDescentOptions {
  /** Steps of a fit, ≥ 1. */
  readonly steps: number;
  /** Step size, > 0. */
  readonly learningRate: number;
  /** SPPO's by default. */
  readonly loss?: LossSpec;
  /** Steps between checkpoints; only the end is written without. */
  readonly checkpointEvery?: number;
}

/**
 * Gradient descent on the logits θ of a softmax policy, with all groups in each step, for any loss L:
 * ∂L/∂θ_j = Σ_i ∂L/∂log π_θ(y_i) ([i = j] − π_θ(j)).
 *
 * @throws {RangeError} When steps, learning rate or a parameter of the loss are out of range.
 *
 * @example
 * ```ts
 * import { gradientDescent } from "./tabular_trainers.ts";
 * import assert from "node:assert/strict";
 * assert.equal(gradientDescent({ steps: 9, learningRate: 0.5 }).id, "gradient-descent-9-0.5");
 * ```
 */
export function gradientDescent(options: GradientDescentOptions): Trainer<TabularPolicy> {
  const { steps, learningRate, checkpointEvery } = options;
  const spec = options.loss ?? { name: "sppo", beta: 1 };
  const loss = lossOf(spec);
  if (!(Number.isSafeInteger(steps) && steps >= 1) || !(learningRate > 0)) {
    throw new RangeError(
      `Cannot descend as steps must be a whole number of at least 1 and the learning rate positive: ` +
        `${steps}, ${learningRate}`,
    );
  }
  return {
    id: `gradient-descent-${steps}-${learningRate}` +
      (options.loss === undefined ? "" : `-${JSON.stringify(spec)}`),
    async *train({ previousPolicy, referencePolicy, groups }, { journal, signal }) {
      const anchor = loss.against === "reference" ? referencePolicy : previousPolicy;
      let policy = previousPolicy;
      let step = 0;
      const checkpoint = await journal.read("checkpoint");
      if (checkpoint !== undefined) {
        step = new DataView(checkpoint.buffer, checkpoint.byteOffset).getFloat64(0, true);
        policy = decodeTable(previousPolicy, checkpoint.subarray(8));
      }
      while (step < steps) {
        signal?.throwIfAborted();
        const value = meanLoss(loss, policy, anchor, groups);
        policy = descend(policy, anchor, groups, { loss, learningRate });
        step++;
        if (step === steps) await journal.write("policy", encodeTable(policy));
        else if (checkpointEvery !== undefined && step % checkpointEvery === 0) {
          const table = encodeTable(policy);
          const bytes = new Uint8Array(8 + table.length);
          new DataView(bytes.buffer).setFloat64(0, step, true);
          bytes.set(table, 8);
          await journal.write("checkpoint", bytes);
        }
        yield { step, loss: value, learning_rate: learningRate };
      }
      return policy;
    },
    restore: restoreTable,
  };
}

function descend(
  policy: TabularPolicy,
  anchor: TabularPolicy,
  groups: readonly TrainingGroup[],
  { loss, learningRate }: { readonly loss: Loss; readonly learningRate: number },
): TabularPolicy {
  const measured = measure(policy, anchor, groups);
  const slopes = stepSlopes(loss, measured.map(({ responses }) => responses));
  let at = 0;
  const logits = new Map<string, Float64Array>();
  for (const { promptId, responses } of measured) {
    const now = policy.logProbsOf(promptId);
    const values = logits.get(promptId) ?? now.slice();
    const gradient = new Float64Array(values.length);
    for (const { index } of responses) {
      const slope = slopes[at++]!;
      for (let j = 0; j < gradient.length; j++) {
        gradient[j]! += slope * ((index === j ? 1 : 0) - Math.exp(now[j]!));
      }
    }
    for (let j = 0; j < values.length; j++) {
      values[j]! -= learningRate * gradient[j]!;
    }
    logits.set(promptId, values);
  }
  return policy.with(logits);
}

/** The groups as a loss sees them: an answer is one token. */
function measure(
  policy: TabularPolicy,
  anchor: TabularPolicy,
  groups: readonly TrainingGroup[],
): { promptId: string; responses: (StepResponse<number> & { index: number })[] }[] {
  return groups.map((group) => {
    const promptId = group.prompt.id;
    const now = policy.logProbsOf(promptId), then = anchor.logProbsOf(promptId);
    const responses = indexResponses(policy, group).map(({ index, target, weight }) => {
      const logProb = now[index]!;
      return { index, logProb, logRatio: logProb - then[index]!, tokens: 1, target, weight };
    });
    return { promptId, responses };
  });
}

function meanLoss(
  loss: Loss,
  policy: TabularPolicy,
  anchor: TabularPolicy,
  groups: readonly TrainingGroup[],
): number {
  return stepLoss(numbers, loss, measure(policy, anchor, groups).map((each) => each.responses));
}

function indexResponses(
  policy: TabularPolicy,
  { prompt, responses }: TrainingGroup,
): { index: number; target: number; weight: number }[] {
  const answers = policy.answers(prompt.id);
  return responses.map(({ response, target, weight }) => {
    const index = response.tokenIds?.[0] ?? answers.indexOf(response.text);
    if (answers[index] !== response.text) {
      throw new RangeError(
        `Cannot train on a response to "${prompt.id}" as it must be among the answers: ` +
          JSON.stringify(response.text),
      );
    }
    return { index, target, weight };
  });
}

function encodeTable(policy: TabularPolicy): Uint8Array {
  const values = policy.promptIds.flatMap((promptId) => [...policy.logProbsOf(promptId)]);
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setFloat64(index * 8, value, true);
  return bytes;
}

function decodeTable(policy: TabularPolicy, bytes: Uint8Array): TabularPolicy {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const table = new Map<string, Float64Array>();
  let at = 0;
  for (const promptId of policy.promptIds) {
    const values = new Float64Array(policy.answers(promptId).length);
    for (let index = 0; index < values.length; index++, at += 8) {
      values[index] = view.getFloat64(at, true);
    }
    table.set(promptId, values);
  }
  return policy.with(table);
}

async function restoreTable(
  previousPolicy: TabularPolicy,
  journal: Journal,
): Promise<TabularPolicy | undefined> {
  const bytes = await journal.read("policy");
  return bytes === undefined ? undefined : decodeTable(previousPolicy, bytes);
}
