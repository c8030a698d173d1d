// Sampling from the tiny random Llama on the onnx backend.

import assert from "node:assert/strict";
import type { Prompt, Sampled, SampleOptions } from "../../../core/mod.ts";
import type { BoundExecutable, HostTensor } from "../../../graph/mod.ts";
import {
  type Decoder,
  generate,
  type LanguageModel,
  type LocalPolicy,
} from "../../../models/mod.ts";
import { assertFits } from "../_chi_square.ts";
import { promptOf, somePrompts, sum, VOCAB_SIZE, withBackend } from "../_tiny_model.ts";
import { ask, collect, END, load, SAMPLING } from "./_ask.ts";

/** The decode program and the likelihood program sum in other orders: float32 roundings. */
const LOG_PROB_TOLERANCE = 1e-4;

/** Token ids must be equal; log-probabilities may differ by roundings of other batch sizes. */
function assertSameResponses(actual: readonly Sampled[], expected: readonly Sampled[]): void {
  assert.deepEqual(actual.map(withoutLogProbs), expected.map(withoutLogProbs));
  actual.forEach(({ responses }, at) =>
    responses.forEach(({ logProb }, sample) => {
      const wanted = expected[at]!.responses[sample]!.logProb!;
      assert.ok(Math.abs(logProb! - wanted) < LOG_PROB_TOLERANCE, `${logProb}, expected ${wanted}`);
    })
  );
}

function withoutLogProbs({ prompt, responses }: Sampled): unknown {
  return [
    prompt.id,
    responses.map(({ text, tokenIds, finishReason }) => [text, tokenIds, finishReason]),
  ];
}

/** A decoder that writes down the rows of each run. */
function watched(decoder: Decoder): { decoder: Decoder; prefills: number[]; steps: number[] } {
  const prefills: number[] = [];
  const steps: number[] = [];
  const watch = (executable: BoundExecutable, rows: number[]): BoundExecutable => ({
    run(inputs: Readonly<Record<string, HostTensor>>, options) {
      rows.push(inputs.ids!.shape[0]!);
      return executable.run(inputs, options);
    },
    dispose: () => executable.dispose(),
  });
  return {
    decoder: {
      ...decoder,
      prefill: watch(decoder.prefill, prefills),
      step: watch(decoder.step, steps),
    },
    prefills,
    steps,
  };
}

const tokenized = (model: LanguageModel, prompts: readonly Prompt[]) =>
  prompts.map((prompt) => ({ prompt, ids: model.encodePrompt(prompt) }));

Deno.test("sample() gives the same responses whether prompts are asked alone or together", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, { endOfTurnIds: [END] });
    const prompts = somePrompts(7);
    const together = await ask(policy, prompts);
    const alone: Sampled[] = [];
    for (const prompt of prompts) alone.push(...await ask(policy, [prompt]));
    assertSameResponses(together, alone);
    const reversed = await ask(policy, prompts.toReversed());
    assertSameResponses(reversed.toReversed(), together);
  }));

Deno.test("sample() gives the same responses whatever fits side by side", () =>
  withBackend(async (backend) => {
    const prompts = somePrompts(9);
    const { model, policy } = await load(backend, { endOfTurnIds: [END], slots: 64 });
    const expected = await ask(policy, prompts);
    for (const slots of [3, 5, 8, 13]) {
      const { policy } = await load(backend, { endOfTurnIds: [END], slots });
      assertSameResponses(await ask(policy, prompts), expected);
    }
    // Few rows of the prefill's cache, and as little memory for caches as there can be.
    const decoder = await model.decoder(undefined, 19, 3);
    for (const prefillRows of [1, 2, 7]) {
      const all = generate({ ...decoder, prefillRows }, tokenized(model, prompts), SAMPLING);
      assertSameResponses(await collect(all), expected);
    }
    const { policy: small } = await load(backend, { endOfTurnIds: [END], cacheBytes: 1 });
    assertSameResponses(await ask(small, prompts), expected);
  }));

Deno.test("sample() gives the same bytes whatever was asked before", () =>
  withBackend(async (backend) => {
    const prompts = somePrompts(5);
    const { policy: fresh } = await load(backend);
    const expected = await ask(fresh, prompts);
    const { policy } = await load(backend);
    await ask(policy, somePrompts(3), { samples: 20, maxTokens: 100 }); // larger caches, now with traces
    assert.deepEqual(await ask(policy, prompts), expected);
    assert.deepEqual(await ask(policy, prompts), expected);
  }));

Deno.test("generate() prefills each prompt once for all its samples and fills its slots again", () =>
  withBackend(async (backend) => {
    const { model } = await load(backend, { endOfTurnIds: [END], slots: 7 });
    const prompts = somePrompts(11);
    const { decoder, prefills, steps } = watched(
      await model.decoder(undefined, 40, 3),
    );
    assert.equal(decoder.slots, 7);
    const sampled = await collect(
      generate(decoder, tokenized(model, prompts), { ...SAMPLING, maxTokens: 30 }),
    );
    assert.equal(sum(prefills), prompts.length);
    assert.ok(prefills[0] === 2 && Math.max(...prefills) <= 2, `prefills ${prefills}`);
    assert.ok(Math.max(...steps) <= 7, `steps ${steps}`);
    // The prefill gives each row's first token, and no row is run after its end.
    const tokens = sum(
      sampled.flatMap(({ responses }) => responses.map((r) => r.tokenIds!.length)),
    );
    assert.equal(sum(steps), tokens - 3 * prompts.length);
    // Two prompts at a time in turn would leave slots empty until the longer one ends.
    const inTurns = 6 * 29;
    assert.ok(steps.length < inTurns, `${steps.length} steps, ${inTurns} without refilling`);
  }));

Deno.test("generate() prefills prompts of like length together", () =>
  withBackend(async (backend) => {
    const { model } = await load(backend, { slots: 16 });
    const decoder = await model.decoder(undefined, 40, 1);
    const shapes: (readonly number[])[] = [];
    const prefill: BoundExecutable = {
      run(inputs, options) {
        shapes.push(inputs.ids!.shape);
        return decoder.prefill.run(inputs, options);
      },
      dispose: () => decoder.prefill.dispose(),
    };
    const prompts = Array.from(
      { length: 16 },
      (_, index) => promptOf(`p${index}`, Array(index % 2 === 0 ? 9 : 2).fill(5 + index)),
    );
    const options = { ...SAMPLING, samples: 1 };
    const sampled = await collect(
      generate({ ...decoder, prefill }, tokenized(model, prompts), options),
    );
    assert.deepEqual(shapes, [[8, 2], [8, 9]]);
    assert.deepEqual(sampled.map(({ prompt }) => prompt.id), prompts.map(({ id }) => id));
  }));

Deno.test("sample() yields every prompt once, in order, before those behind it are done", () =>
  withBackend(async (backend) => {
    const { model } = await load(backend, { slots: 3 });
    const prompts = somePrompts(6);
    const { decoder, prefills } = watched(
      await model.decoder(undefined, 20, 3),
    );
    const seen: string[] = [];
    for await (
      const { prompt, responses } of generate(decoder, tokenized(model, prompts), SAMPLING)
    ) {
      seen.push(prompt.id);
      assert.equal(responses.length, 3);
      assert.equal(sum(prefills), seen.length); // one prompt at a time has room
    }
    assert.deepEqual(seen, prompts.map(({ id }) => id));
    assert.deepEqual(await collect((await model.policy()).sample([], SAMPLING)), []);
  }));

Deno.test("sample() returns the log-probabilities that logProbs() gives, however it samples", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, { endOfTurnIds: [END] });
    const prompts = somePrompts(6);
    for (
      const options of [
        {},
        { temperature: 0 },
        { temperature: 0.7, topP: 0.9 },
        { temperature: 1.4, topK: 5, minP: 0.1 },
      ]
    ) {
      const sampled = await ask(policy, prompts, options);
      let index = 0;
      for await (const scored of policy.logProbs(sampled)) {
        sampled[index++]!.responses.forEach(({ logProb, tokenIds }, sample) => {
          assert.equal(scored[sample]!.length, tokenIds!.length);
          const difference = Math.abs(logProb! - sum(scored[sample]!));
          assert.ok(difference < LOG_PROB_TOLERANCE, `${JSON.stringify(options)}: ${difference}`);
        });
      }
      assert.equal(index, prompts.length);
    }
  }));

Deno.test("sample() ends a response with its end-of-turn token, and by length without one", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, { endOfTurnIds: [END, 40] });
    const sampled = await ask(policy, somePrompts(12), { maxTokens: 14 });
    const ended = { stop: 0, length: 0 };
    for (const { text, tokenIds, finishReason } of sampled.flatMap(({ responses }) => responses)) {
      const isEnd = (id: number) => id === END || id === 40;
      ended[finishReason!]++;
      if (finishReason === "stop") {
        assert.ok(isEnd(tokenIds!.at(-1)!));
        assert.equal(tokenIds!.filter(isEnd).length, 1);
        assert.equal(text, tokenIds!.slice(0, -1).join(" "));
      } else {
        assert.equal(tokenIds!.length, 14);
        assert.ok(!tokenIds!.some(isEnd));
        assert.equal(text, tokenIds!.join(" "));
      }
    }
    assert.ok(ended.stop > 5 && ended.length > 5, JSON.stringify(ended));
  }));

Deno.test("sample() ends a response as soon as its text holds a stop string, and leaves that out", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend);
    const prompt = promptOf("p", [5, 9, 30]);
    const greedy = async (stop: readonly string[]) => {
      const options = { samples: 1, temperature: 0, maxTokens: 16, stop };
      const [sampled] = await ask(policy, [prompt], options);
      return sampled!.responses[0]!;
    };
    const plain = await greedy([]);
    assert.equal(plain.finishReason, "length");
    const ids = plain.tokenIds!;
    const stop = ` ${ids[6]} ${ids[7]}`;
    const cut = await greedy(["never", `${stop} ${ids[8]}`, stop]);
    assert.equal(cut.finishReason, "stop");
    assert.equal(cut.text, plain.text.slice(0, plain.text.indexOf(stop)));
    // The tokens sampled stay, to the one that completed the stop string, and no further.
    const count = cut.tokenIds!.length;
    assert.deepEqual(cut.tokenIds, ids.slice(0, count));
    assert.ok(ids.slice(0, count).join(" ").includes(stop));
    assert.ok(!ids.slice(0, count - 1).join(" ").includes(stop));
    const empty = await greedy([`${ids[0]}`]);
    assert.deepEqual([empty.text, empty.tokenIds, empty.finishReason], ["", [ids[0]], "stop"]);
  }));

Deno.test("sample() draws from one stream per prompt id and sample", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend);
    const [prompt] = somePrompts(1, 4) as [Prompt];
    const idsOf = (sampled: readonly Sampled[]) =>
      sampled.map(({ responses }) => responses.map(({ tokenIds }) => tokenIds!.join()));
    const [five] = idsOf(await ask(policy, [prompt], { samples: 5 }));
    assert.equal(new Set(five).size, 5, "samples of one prompt are different");
    const [two] = idsOf(await ask(policy, [prompt], { samples: 2 }));
    assert.deepEqual(two, five!.slice(0, 2));
    const [other] = idsOf(await ask(policy, [{ ...prompt, id: "other" }], { samples: 5 }));
    assert.ok(other!.every((ids) => !five!.includes(ids)), "another prompt id is another stream");
    const [reseeded] = idsOf(await ask(policy, [prompt], { samples: 5, seed: 6 }));
    assert.ok(reseeded!.every((ids) => !five!.includes(ids)), "another seed is another stream");
    assert.deepEqual(idsOf(await ask(policy, [prompt], { samples: 5 })), [five]);
  }));

/** The model's distribution of the first token, from the scorer. */
async function firstTokens(policy: LocalPolicy, prompt: Prompt): Promise<Float64Array> {
  const responses = Array.from({ length: VOCAB_SIZE }, (_, id) => ({ text: "", tokenIds: [id] }));
  const probabilities = new Float64Array(VOCAB_SIZE);
  for await (const scored of policy.logProbs([{ prompt, responses }])) {
    scored.forEach(([logProb], id) => probabilities[id] = Math.exp(logProb!));
  }
  return probabilities;
}

Deno.test("sample() draws first tokens as often as the model says", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend);
    const content = "5 9 30 12";
    const probabilities = await firstTokens(policy, { id: "", content });
    assert.ok(Math.abs(sum(probabilities) - 1) < 1e-5);
    const prompts = Array.from({ length: 100 }, (_, index) => ({ id: `${index}`, content }));
    const count = async (options: Partial<SampleOptions>) => {
      const counts = new Float64Array(VOCAB_SIZE);
      const sampled = await ask(policy, prompts, { samples: 60, maxTokens: 1, ...options });
      for (const { responses } of sampled) {
        for (const { tokenIds } of responses) counts[tokenIds![0]!]!++;
      }
      return counts;
    };
    assertFits(await count({}), probabilities);

    const sharpened = probabilities.map((p) => p ** (1 / 0.7));
    const order = [...sharpened.keys()].sort((a, b) => sharpened[b]! - sharpened[a]!);
    const total = sum(sharpened);
    let held = 0;
    const nucleus = order.filter((id) => {
      const stays = held < 0.9 * total;
      held += sharpened[id]!;
      return stays;
    });
    const inside = sum(nucleus.map((id) => sharpened[id]!));
    const expected = sharpened.map((p, id) => nucleus.includes(id) ? p / inside : 0);
    assertFits(await count({ temperature: 0.7, topP: 0.9 }), expected);
  }));

Deno.test("sample() draws second tokens as often as the model says after the first", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend);
    const content = "5 9 30 12";
    const prompts = Array.from({ length: 150 }, (_, index) => ({ id: `${index}`, content }));
    const sampled = await ask(policy, prompts, { samples: 60, maxTokens: 2 });
    const pairs = sampled.flatMap(({ responses }) => responses.map(({ tokenIds }) => tokenIds!));
    const firsts = new Map<number, number>();
    for (const [first] of pairs) firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
    const [common] = [...firsts].sort((a, b) => b[1] - a[1])[0]!;
    const counts = new Float64Array(VOCAB_SIZE);
    for (const [first, second] of pairs) if (first === common) counts[second!]!++;
    assertFits(counts, await firstTokens(policy, { id: "", content: `${content} ${common}` }));
  }));

Deno.test("sample() ends with the signal's reason when it is aborted, before or between steps", () =>
  withBackend(async (backend) => {
    const { policy } = await load(backend, { slots: 3 });
    const prompts = somePrompts(6);
    const expected = await ask(policy, prompts);
    const aborted = AbortSignal.abort();
    await assert.rejects(ask(policy, prompts, { signal: aborted }), { name: "AbortError" });

    const controller = new AbortController();
    const seen: Sampled[] = [];
    await assert.rejects(async () => {
      for await (const one of policy.sample(prompts, { ...SAMPLING, signal: controller.signal })) {
        seen.push(one);
        if (seen.length === 2) controller.abort(new RangeError("enough"));
      }
    }, { name: "RangeError", message: "enough" });
    assertSameResponses(seen, expected.slice(0, 2));
    // Whoever stops early or is aborted leaves the policy as it was.
    for await (const _ of policy.sample(prompts, SAMPLING)) break;
    assert.deepEqual(await ask(policy, prompts), expected);
  }));

Deno.test("generate() refuses more samples than slots, and prompts that leave no room", () =>
  withBackend(async (backend) => {
    const { model, policy } = await load(backend, { slots: 2 });
    const decoder = await model.decoder(undefined, 64, 2);
    const prompts = [promptOf("short", [5]), promptOf("long", Array(60).fill(7))];
    await assert.rejects(collect(generate(decoder, tokenized(model, prompts), SAMPLING)), {
      name: "RangeError",
      message: "Cannot sample as at most 2 responses fit side by side: 3",
    });
    const options = { ...SAMPLING, samples: 2 };
    await assert.rejects(collect(generate(decoder, tokenized(model, prompts), options)), {
      name: "RangeError",
      message: "Cannot sample as prompt long and its response must fit 64 tokens: 60 + 10",
    });
    await assert.rejects(ask(policy, prompts, { maxTokens: 100 }), {
      name: "RangeError",
      message:
        "Cannot sample as prompt long and its response must fit the model's 128 positions: 60 + 100",
    });
    const [{ responses }] = await ask(policy, [prompts[1]!], { maxTokens: 68 }) as [Sampled];
    assert.deepEqual(responses.map(({ tokenIds }) => tokenIds!.length), [68, 68, 68]);
  }));
