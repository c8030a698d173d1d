// Fits that are interrupted, or blow up, and go on.

import assert from "node:assert/strict";
import { type Journal, memoryJournal, type StepMetrics } from "../../../core/mod.ts";
import {
  lmTrainer,
  type LocalPolicy,
  OPTIMIZERS,
  type TrainingOptions,
} from "../../../models/mod.ts";
import { fit, groups, loraModel, OPTIONS } from "../_fit.ts";
import { groupLogProbs, withBackend } from "../_tiny_model.ts";

/** The bytes of the policy that a journal holds. */
async function policyBytes(journal: Journal): Promise<Uint8Array> {
  return (await journal.read("policy.safetensors"))!;
}

const untimed = (steps: readonly StepMetrics[]) =>
  steps.map(({ seconds: _, tokens_per_second: __, ...rest }) => rest);

/** Eight steps of two groups and of one, with checkpoints after the third and the sixth. */
const RESUMED: TrainingOptions = {
  ...OPTIONS,
  schedule: "cosine",
  warmupRatio: 0.2,
  batchSize: 2,
  epochs: 4,
  checkpointEvery: 3,
};

/** How a fit may be cut short: before a step, by whoever asks for its steps, or by a full disk. */
type Interruption =
  | { readonly kind: "aborted" | "left"; readonly afterSteps: number }
  | { readonly kind: "full"; readonly afterWrites: number };

/** Runs a fit until it is interrupted, and returns the steps seen. */
async function interrupted(
  policy: LocalPolicy,
  options: TrainingOptions,
  journal: Journal,
  interruption: Interruption,
): Promise<StepMetrics[]> {
  const controller = new AbortController();
  let writes = 0;
  const kept: Journal = interruption.kind !== "full" ? journal : {
    ...journal,
    write: (name, bytes) =>
      writes++ < interruption.afterWrites
        ? journal.write(name, bytes)
        : Promise.reject(new RangeError("No space left")),
  };
  const task = { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 };
  const running = lmTrainer(policy.model, options).train(task, {
    journal: kept,
    signal: controller.signal,
  });
  const seen: StepMetrics[] = [];
  const run = async () => {
    for (;;) {
      if (interruption.kind !== "full" && seen.length === interruption.afterSteps) {
        if (interruption.kind === "left") return await running.return(policy);
        controller.abort();
      }
      const next = await running.next();
      if (next.done) assert.fail("the fit was not interrupted");
      seen.push(next.value);
    }
  };
  if (interruption.kind === "left") await run();
  else await assert.rejects(run(), interruption.kind === "full" ? /No space left/ : /aborted/);
  return seen;
}

for (const optimizer of [OPTIMIZERS.adamw, OPTIMIZERS.rmsprop]) {
  Deno.test(`lmTrainer() interrupted at any step of ${optimizer.kind} ends in the same bytes`, () =>
    withBackend(async (backend) => {
      const options = { ...RESUMED, optimizer };
      const { model, policy } = await loraModel(backend);
      const whole = memoryJournal();
      const { steps } = await fit(policy, options, { journal: whole });
      assert.equal(steps.length, 8);
      const expected = await policyBytes(whole);
      assert.equal(await whole.read("fit.safetensors"), undefined);

      const interruptions: Interruption[] = [
        ...[0, 1, 2, 3, 4, 5, 6, 7].map((afterSteps) => ({ kind: "aborted", afterSteps }) as const),
        ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((afterSteps) => ({ kind: "left", afterSteps }) as const),
        ...[0, 1, 2].map((afterWrites) => ({ kind: "full", afterWrites }) as const),
      ];
      for (const interruption of interruptions) {
        const what = JSON.stringify(interruption);
        const journal = memoryJournal();
        const seen = await interrupted(policy, options, journal, interruption);
        assert.equal(await policyBytes(journal), undefined, what);
        assert.equal(await lmTrainer(model, options).restore(policy, journal), undefined, what);
        const { steps: rest } = await fit(policy, options, { journal });
        assert.deepEqual(await policyBytes(journal), expected, what);
        assert.equal(await journal.read("fit.safetensors"), undefined, what);
        // What came after the last checkpoint is done again, and nothing is missing in between.
        const again: number = seen.length + rest.length - steps.length;
        assert.ok(0 <= again && again <= options.checkpointEvery, `${what}: ${again} again`);
        assert.deepEqual(untimed(seen), untimed(steps).slice(0, seen.length), what);
        assert.deepEqual(untimed(rest), untimed(steps).slice(steps.length - rest.length), what);
      }
    }));
}

Deno.test("lmTrainer() interrupted twice ends in the same bytes, on another model of the same weights", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const whole = memoryJournal();
    await fit(policy, RESUMED, { journal: whole });
    const journal = memoryJournal();
    for (const afterSteps of [4, 2]) {
      const { policy } = await loraModel(backend);
      await interrupted(policy, RESUMED, journal, { kind: "aborted", afterSteps });
    }
    const { policy: third } = await loraModel(backend);
    const { steps } = await fit(third, RESUMED, { journal });
    assert.deepEqual(steps.map(({ step }) => step), [4, 5, 6, 7, 8]);
    assert.deepEqual(await policyBytes(journal), await policyBytes(whole));
  }));

Deno.test("lmTrainer() restores the policy of a fit that ended, on another model of the same weights", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const journal = memoryJournal();
    const { policy: fitted } = await fit(policy, { epochs: 2 }, { journal });
    const { model, policy: start } = await loraModel(backend);
    const restored = await lmTrainer(model, OPTIONS).restore(start, journal);
    assert.equal(restored!.id, fitted.id);
    assert.equal(start.id, policy.id);
    assert.deepEqual(await groupLogProbs(restored!, groups), await groupLogProbs(fitted, groups));
  }));

Deno.test("lmTrainer() removes the checkpoint of a fit that was killed after it kept its policy", () =>
  withBackend(async (backend) => {
    const { model, policy } = await loraModel(backend);
    const journal = memoryJournal();
    const killed: Journal = {
      ...journal,
      remove: () => Promise.reject(new RangeError("killed")),
    };
    const options = { epochs: 3, checkpointEvery: 1 };
    await assert.rejects(fit(policy, options, { journal: killed }), /killed/);
    assert.ok(await journal.read("fit.safetensors"));
    const trainer = lmTrainer(model, OPTIONS);
    const restored = await trainer.restore(policy, journal);
    assert.notEqual(restored!.id, policy.id);
    assert.equal(await journal.read("fit.safetensors"), undefined);
    assert.equal((await trainer.restore(policy, journal))!.id, restored!.id);
  }));

Deno.test("lmTrainer() stops at a loss that blows up, names step and tensor, keeps the checkpoint", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    const before = await groupLogProbs(policy, groups);
    // Two good steps and a checkpoint, then a rate of 1e38.
    const journal = memoryJournal();
    const good = { epochs: 3, checkpointEvery: 2, maxSteps: 3 };
    const task = { previousPolicy: policy, referencePolicy: policy, groups, iteration: 1 };
    const running = lmTrainer(policy.model, { ...OPTIONS, ...good }).train(task, { journal });
    for (let step = 0; step < 3; step++) await running.next();
    await running.return(policy);
    const kept = await journal.read("fit.safetensors");
    assert.ok(kept);
    const wild = { epochs: 9, learningRate: 1e38, checkpointEvery: 100, maxGradNorm: 0 };
    await assert.rejects(fit(policy, wild, { journal }), {
      name: "RangeError",
      message:
        /^Cannot take step 4 as gradients must be finite: model\.layers\.\d\.\w+\.\w+\.lora_[AB]\.weight has the squared norm (NaN|Infinity), the loss is (NaN|-?[\d.e+]+|Infinity) \(the last checkpoint is kept/,
    });
    assert.deepEqual(await journal.read("fit.safetensors"), kept);
    assert.equal(await policyBytes(journal), undefined);
    // With a rate that can be borne it goes on from there; the start is untouched.
    const { steps } = await fit(policy, { epochs: 4 }, { journal });
    assert.deepEqual(steps.map(({ step }) => step), [3, 4]);
    assert.deepEqual(await groupLogProbs(policy, groups), before);
  }));

Deno.test("lmTrainer() keeps no checkpoint and no policy whose values are not finite", () =>
  withBackend(async (backend) => {
    const { policy } = await loraModel(backend);
    for (const options of [{ epochs: 1 }, { epochs: 5, checkpointEvery: 1 }]) {
      const journal = memoryJournal();
      await assert.rejects(fit(policy, { ...options, learningRate: Infinity }, { journal }), {
        name: "RangeError",
        message:
          /^Cannot keep the fit after step 1 as trained values must be finite: model\.layers\.0\.self_attn\.q_proj\.lora_[AB]\.weight has (NaN|-?Infinity) \(/,
      });
      assert.equal(await policyBytes(journal), undefined);
      assert.equal(await journal.read("fit.safetensors"), undefined);
    }
  }));
