import assert from "node:assert/strict";
import {
  lossOf,
  type LossSpec,
  numbers,
  type StepGroup,
  stepLoss,
  stepSlopes,
} from "../../../core/mod.ts";
import { randomStream } from "../../../core/random.ts";
import { gradients, interpret, ProgramBuilder } from "../../../graph/mod.ts";
import { lossTotal, OPTIMIZERS } from "../../../models/mod.ts";
import { assertNear, fit, groups } from "../_fit.ts";
import { storedNumbers } from "../_tiny_llama.ts";
import { groupLogProbs, sum, tinyModel, withBackend } from "../_tiny_model.ts";

/** float64 both, summed in another order; ORPO's log(1 − eˣ) is written in another way. */
const PROGRAM_TOLERANCE = 1e-9;
/** Nats, after three steps in float32 in two libraries. */
const STEPS_TOLERANCE = 1e-4;

const against = "previous";
const beta = 0.5;
const LOSSES: readonly LossSpec[] = [
  { name: "sppo", beta },
  { name: "sppo-hard", beta, against },
  { name: "sft" },
  { name: "dpo", beta, against, labelSmoothing: 0.1 },
  { name: "hinge", beta, against },
  { name: "robust", beta, against, labelSmoothing: 0.1 },
  { name: "ipo", beta, against },
  { name: "ipo-mean", beta, against },
  { name: "simpo", beta: 2, margin: 0.5 },
  { name: "orpo", beta: 0.3 },
  { name: "policy-gradient", beta, clip: 0.2 },
];

Deno.test("lossTotal() is the loss over numbers with its slopes, for every loss of core's table", () => {
  const random = randomStream(3, "groups");
  const groups: StepGroup<number>[] = Array.from(
    { length: 3 },
    () =>
      Array.from({ length: 2 }, () => ({
        logProb: -1 - 5 * random.next(),
        logRatio: random.next() - 0.4,
        target: 2 * random.next() - 1,
        tokens: 1 + Math.floor(6 * random.next()),
        weight: 0.2 + random.next(),
      })),
  );
  const flat = groups.flat();
  for (const spec of LOSSES) {
    const loss = lossOf(spec);
    const g = new ProgramBuilder("loss");
    const read = (name: string) => g.input(name, "float32", ["responses"]);
    // The log-ratio moves with the log-probability.
    const logProb = read("log_prob"), logRatio = g.sub(logProb, read("anchor"));
    const total = lossTotal(g, loss, { logProb, logRatio, tokens: read("tokens") });
    g.output("loss", total);
    g.output("slopes", gradients(g, total, [logProb])[0]!);
    const vector = (of: (response: typeof flat[number]) => number) => ({
      shape: [flat.length],
      data: Float64Array.from(flat, of),
    });
    const pairs = (of: (pair: number) => number) => ({
      shape: [groups.length],
      data: Int32Array.from(groups, (_, pair) => of(pair)),
    });
    const inputs = {
      log_prob: vector((y) => y.logProb),
      anchor: vector((y) => y.logProb - y.logRatio),
      tokens: vector((y) => y.tokens),
      ...(loss.per === "response"
        ? { weight: vector((y) => y.weight / groups.length), target: vector((y) => y.target) }
        : {
          chosen: pairs((pair) => 2 * pair),
          rejected: pairs((pair) => 2 * pair + 1),
          pair_weight: {
            shape: [groups.length],
            data: Float64Array.from(groups, ([a, b]) => (a!.weight + b!.weight) / groups.length),
          },
        }),
    };
    const { outputs } = interpret(g.build(), { inputs });
    assertNear(
      outputs.loss!.data,
      [stepLoss(numbers, loss, groups)],
      PROGRAM_TOLERANCE,
      spec.name,
    );
    assertNear(outputs.slopes!.data, stepSlopes(loss, groups), PROGRAM_TOLERANCE, spec.name);
  }
});

interface StoredSteps {
  readonly beta: number;
  readonly learning_rate: number;
  readonly steps: number;
  readonly max_grad_norm: number;
  readonly runs: Readonly<
    Record<string, {
      readonly losses: readonly number[];
      readonly logs: readonly Readonly<Record<string, number>>[];
      readonly log_probs: readonly (readonly number[])[];
    }>
  >;
}

const trl = await storedNumbers<StoredSteps>("trl_steps.json");
const LOSS_OF_TRL = {
  sigmoid: { name: "dpo", beta: trl.beta, against: "reference", labelSmoothing: 0 },
  ipo: { name: "ipo-mean", beta: trl.beta, against: "reference" },
  sppo_hard: { name: "sppo-hard", beta: trl.beta, against: "reference" },
} as const satisfies Record<string, LossSpec>;

for (const [name, loss] of Object.entries(LOSS_OF_TRL)) {
  Deno.test(`lmTrainer() takes the steps of TRL's DPOTrainer: ${name}`, () =>
    withBackend(async (backend) => {
      const stored = trl.runs[name]!;
      const model = await tinyModel(backend, { trainable: { kind: "all" } });
      const { steps, policy } = await fit(await model.policy(), {
        loss,
        optimizer: { ...OPTIMIZERS.adamw, weightDecay: 0 },
        learningRate: trl.learning_rate,
        epochs: trl.steps,
        maxGradNorm: trl.max_grad_norm,
      });
      steps.forEach((step, index) => {
        const relative = step.loss! / stored.losses[index]! - 1;
        assert.ok(Math.abs(relative) < STEPS_TOLERANCE, `${step.loss}, ${stored.losses[index]}`);
        for (const [metric, value] of Object.entries(stored.logs[index]!)) {
          const difference = Math.abs(step[metric]! - value) / Math.max(1, Math.abs(value));
          // Where all log-ratios are 0, which of two is larger is noise.
          if (index === 0 && metric === "rewards/accuracies") continue;
          assert.ok(difference < STEPS_TOLERANCE, `${metric}: ${step[metric]}, TRL ${value}`);
        }
      });
      const after = (await groupLogProbs(policy, groups)).map(sum);
      assertNear(after, stored.log_probs.flat(), STEPS_TOLERANCE, "log-probabilities");
    }));
}
