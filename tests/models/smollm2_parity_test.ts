// SmolLM2-135M-Instruct and stories260K on the onnx backend: parity with transformers on the
// dequantised weights (numbers of tests/parity/smollm2.py), and llama2.c's figures.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createOnnxBackend } from "../../backends/onnx/mod.ts";
import { openCheckpointFiles } from "../../cli/file_source.ts";
import { discardingJournal, type Message, type StepMetrics } from "../../core/mod.ts";
import {
  LanguageModel,
  lmTrainer,
  localChat,
  type LocalPolicy,
  openCheckpoint,
  TRAINING_DEFAULTS,
} from "../../models/mod.ts";
import recorded from "../parity/data/llm_server.json" with { type: "json" };
import { sharedPath, skipReason } from "../_shared.ts";
import { storedNumbers } from "./_tiny_llama.ts";
import { sum } from "./_tiny_model.ts";

/**
 * Nats, for each token and for the sum over a response. transformers' own attention implementations
 * differ by 3.2e-5 for a token; a sum has up to 256 of them.
 */
const LOG_PROB_TOLERANCE = 2e-3;
/** Where the two most likely tokens are closer, another order of summation may pick the other. */
const NEAR_TIE = 1e-4;
/** Nats, of figures with six decimals. */
const STORIES_TOLERANCE = 5e-5;

/** Nats; the previous log-probabilities come from the same forward pass. */
const START_TOLERANCE = 1e-5;

/** Nats: llama.cpp rounds activations to 8 bits; 0.18 was the worst of 40. */
const LLAMA_CPP_TOLERANCE = 0.3;

const SMOLLM2 = "models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf";
const VICUNA = "data/pairwise/gpt4_vicuna_8x8.jsonl";
const STORIES = "models/stories260k/stories260K.bin";
const STORIES_TOKENIZER = "models/stories260k/tok512.bin";
const STORIES_TEXT = "data/eval/tinystories_sample.txt";

/** `tests/parity/data/smollm2.json`. */
interface StoredParity {
  readonly end_of_turn_id: number;
  readonly pairs: readonly {
    readonly question_id: number;
    readonly response_index: number;
    readonly prompt_token_ids: readonly number[];
    readonly token_ids: readonly number[];
    readonly log_prob: number;
    readonly token_log_probs: readonly number[];
  }[];
  readonly greedy: readonly {
    readonly question_id: number;
    readonly prompt: string;
    readonly prompt_token_ids: readonly number[];
    readonly token_ids: readonly number[];
    readonly text: string;
    readonly finish_reason: string;
    readonly margins: readonly number[];
  }[];
}

/** `tests/parity/data/smollm2_tokens.json`. */
interface StoredTokens {
  readonly answers: readonly {
    readonly question_id: number;
    readonly lengths: readonly number[];
    readonly hashes: readonly string[];
  }[];
}

/** A line of the pairwise data. */
interface Question {
  readonly question_id: number;
  readonly prompt: string;
  readonly responses: readonly string[];
}

/** A test of one model, loaded once, that says where a file it needs is absent. */
function modelTest(
  name: string,
  needs: readonly [checkpoint: string, ...others: string[]],
  template: "chat" | "none",
  body: (
    policy: LocalPolicy,
    t: Deno.TestContext,
    paths: readonly string[],
  ) => Promise<void>,
): void {
  const absent = needs.find((path) => !sharedPath(path));
  Deno.test({
    name: absent ? `${name} (${skipReason(absent)})` : name,
    ignore: absent !== undefined,
    async fn(t) {
      const paths = needs.map((path) => sharedPath(path)!);
      const backend = await createOnnxBackend({ threads: 2 });
      try {
        using opened = await openCheckpointFiles(paths[0]!);
        const checkpoint = await openCheckpoint(opened.files);
        // A new adapter adds zeros, so all else is the base's.
        const lora = { rank: 4, alpha: 4, targets: ["q_proj", "v_proj"] } as const;
        const trainable = { kind: "lora", lora } as const;
        const model = await LanguageModel.load(checkpoint, backend, { template, trainable });
        await body(await model.policy(), t, paths);
      } finally {
        await backend.dispose();
      }
    },
  });
}

const lines = (text: string): Question[] =>
  text.trim().split("\n").map((line) => JSON.parse(line) as Question);

/** What a passed test found, for whoever reads its output. */
function report(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

modelTest(
  "SmolLM2-135M-Instruct equals transformers",
  [SMOLLM2, VICUNA],
  "chat",
  async (policy, t, [, vicunaPath]) => {
    const { model } = policy;
    const { pairs, greedy, end_of_turn_id } = await storedNumbers<StoredParity>("smollm2.json");
    const questions = lines(await Deno.readTextFile(vicunaPath!));

    await t.step("a judge's labels are as likely as llama.cpp's server finds them", async () => {
      const asked = recorded.exchanges.filter(({ request: { logprobs, messages } }) =>
        logprobs === true && messages.length === 1
      ).slice(0, 4);
      const answers = await Array.fromAsync(
        localChat(policy).answers(asked.map(({ request }) => request.messages as Message[]), {
          maxTokens: 1,
          labels: ["A", "B", "C"],
        }),
      );
      for (const [at, { tokens, firstToken }] of answers.entries()) {
        const { usage, choices } = asked[at]!.response;
        assert.equal(tokens.prompt, usage.prompt_tokens);
        const top = choices[0]!.logprobs!.content[0]!.top_logprobs;
        for (const { token, logProb } of firstToken!) {
          const theirs = top.filter((one) => one.token.trim() === token);
          const p = theirs.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0);
          assert.ok(Math.abs(logProb - Math.log(p)) < LLAMA_CPP_TOLERANCE, `${token} at ${at}`);
        }
      }
    });

    await t.step("encodePrompt() and encodeResponse() give transformers' token ids", async () => {
      assert.deepEqual(model.text.endOfTurnIds, [end_of_turn_id]);
      assert.equal(pairs.length, 20);
      for (const pair of pairs) {
        const { prompt, responses } = questions.find(({ question_id }) =>
          question_id === pair.question_id
        )!;
        assert.deepEqual(model.encodePrompt({ id: "", content: prompt }), pair.prompt_token_ids);
        const text = responses[pair.response_index]!;
        assert.deepEqual(model.encodeResponse({ text }), pair.token_ids);
        // A response that was cut has no end of turn.
        const cut = model.encodeResponse({ text, finishReason: "length" });
        assert.deepEqual(cut, pair.token_ids.slice(0, -1));
      }
      for (const { prompt, prompt_token_ids, token_ids, text } of greedy) {
        assert.deepEqual(model.encodePrompt({ id: "", content: prompt }), prompt_token_ids);
        assert.equal(model.text.decode(token_ids), text);
      }
      const { answers } = await storedNumbers<StoredTokens>("smollm2_tokens.json");
      assert.equal(answers.length, questions.length);
      questions.forEach(({ question_id, responses }, at) => {
        assert.equal(answers[at]!.question_id, question_id);
        responses.forEach((text, index) => {
          const ids = model.text.encodeResponse(text, "none");
          const bytes = new Uint8Array(Uint32Array.from(ids).buffer);
          const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 16);
          assert.equal(ids.length, answers[at]!.lengths[index]);
          assert.equal(hash, answers[at]!.hashes[index], `${question_id}, answer ${index}`);
        });
      });
    });

    await t.step("logProbs() of 20 chat pairs are within 2e-3 nats, tokens and sums", async () => {
      const groups = pairs.map(({ question_id, response_index }) => {
        const { prompt, responses } = questions.find((row) => row.question_id === question_id)!;
        return {
          prompt: { id: `${question_id}`, content: prompt },
          responses: [{ text: responses[response_index]! }],
        };
      });
      const worst = { token: 0, sum: 0, mean: 0 };
      let index = 0;
      for await (const [logProbs] of policy.logProbs(groups)) {
        const { token_log_probs, log_prob, question_id } = pairs[index++]!;
        assert.equal(logProbs!.length, token_log_probs.length);
        logProbs!.forEach((logProb, token) => {
          const difference = Math.abs(logProb - token_log_probs[token]!);
          worst.token = Math.max(worst.token, difference);
        });
        const difference = Math.abs(sum(logProbs!) - log_prob);
        worst.sum = Math.max(worst.sum, difference);
        worst.mean = Math.max(worst.mean, difference / logProbs!.length);
        assert.ok(worst.token <= LOG_PROB_TOLERANCE, `question ${question_id}: ${worst.token}`);
        assert.ok(worst.sum <= LOG_PROB_TOLERANCE, `question ${question_id}: sum ${worst.sum}`);
      }
      assert.equal(index, pairs.length);
      report(
        `largest difference of a token ${worst.token.toExponential(2)}, ` +
          `of a sum ${worst.sum.toExponential(2)}, of a mean ${worst.mean.toExponential(2)} nats`,
      );
    });

    await t.step("sample() at temperature 0 gives transformers' first 64 tokens", async () => {
      assert.equal(greedy.length, 20);
      const prompts = greedy.map(({ prompt }, index) => ({ id: `${index}`, content: prompt }));
      const options = { samples: 1, temperature: 0, topP: 1, maxTokens: 64, seed: 0 };
      const ties: string[] = [];
      let index = 0;
      let tokens = 0;
      for await (const { responses } of policy.sample(prompts, options)) {
        const { token_ids, margins, question_id, finish_reason } = greedy[index++]!;
        const { tokenIds, finishReason } = responses[0]!;
        const at = token_ids.findIndex((id, step) => tokenIds![step] !== id);
        if (at >= 0 && margins[at]! < NEAR_TIE) {
          ties.push(`question ${question_id} from token ${at} on, margin ${margins[at]}`);
          tokens += at;
          continue; // from here on the texts are others
        }
        assert.deepEqual(tokenIds, token_ids, `question ${question_id}`);
        assert.equal(finishReason, finish_reason);
        tokens += token_ids.length;
      }
      assert.equal(index, greedy.length);
      report(
        `${tokens} tokens of ${greedy.length} prompts identical; ` +
          `near-ties decided otherwise: ${ties.join("; ") || "none"}`,
      );
    });

    await t.step("lmTrainer() starts at log-ratios of 0 on long responses", async () => {
      const [a, b, c] = pairs.map(({ question_id, token_ids }) => ({
        prompt: {
          id: `${question_id}`,
          content: questions.find((row) => row.question_id === question_id)!.prompt,
        },
        response: { text: "", tokenIds: token_ids },
        weight: 0.5,
      }));
      const train = [[a!, b!], [b!, c!]].map(([chosen, rejected]) => ({
        prompt: chosen!.prompt,
        responses: [{ ...chosen!, target: 5 }, { ...rejected!, target: -5 }],
      }));
      const options = { ...TRAINING_DEFAULTS, batchSize: 2, epochs: 1 };
      const task = { previousPolicy: policy, referencePolicy: policy, groups: train, iteration: 1 };
      const steps = lmTrainer(model, options).train(task, { journal: discardingJournal() });
      const { value } = await steps.next();
      await steps.return(policy);
      const metrics = value as StepMetrics;
      const [chosen, rejected] = [metrics["log_ratios/chosen"]!, metrics["log_ratios/rejected"]!];
      assert.ok(Math.abs(chosen) <= START_TOLERANCE, `${chosen}`);
      assert.ok(Math.abs(rejected) <= START_TOLERANCE, `${rejected}`);
      report(`log-ratios before the first step ${chosen} and ${rejected} nats`);
    });
  },
);

modelTest(
  "stories260K gives llama2.c's figures",
  [STORIES, STORIES_TOKENIZER, STORIES_TEXT],
  "none",
  async (policy, t, [, , storiesPath]) => {
    const { model } = policy;
    const sentence = "Once upon a time, there was a little girl";
    const ids = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421];
    const bos = model.text.tokenizer.bosId!;

    /** Log-probabilities of the tokens of a text after BOS alone. */
    async function afterBos(texts: readonly string[]): Promise<Float32Array[]> {
      return await policy.scoreSequences(texts.map((text) => ({
        promptIds: [bos],
        responseIds: model.text.tokenizer.encode(text),
      })));
    }

    await t.step("encodePrompt() and the greedy next token", async () => {
      const prompt = { id: "p", content: sentence };
      assert.deepEqual(model.encodePrompt(prompt), [bos, ...ids]);
      const options = { samples: 1, temperature: 0, topP: 1, maxTokens: 1, seed: 0 };
      for await (const { responses } of policy.sample([prompt], options)) {
        const [token] = responses[0]!.tokenIds!;
        const before = model.text.decode([...ids]);
        assert.equal(model.text.decode([...ids, token!]).slice(before.length), " named");
      }
    });

    await t.step("Σ log p of the sentence is −1.33635", async () => {
      const [logProbs] = await afterBos([sentence]);
      assert.equal(logProbs!.length, 12);
      assert.ok(Math.abs(sum(logProbs!) + 1.33635) < STORIES_TOLERANCE, `${sum(logProbs!)}`);
      report(`Σ log p = ${sum(logProbs!).toFixed(5)}`);
    });

    await t.step("mean −log p over the stories is 1.2664", async () => {
      const text = await Deno.readTextFile(storiesPath!);
      const stories = text.split("<|endoftext|>").map((story) => story.trim()).filter(Boolean);
      const logProbs = await afterBos(stories);
      const tokens = sum(logProbs.map(({ length }) => length));
      const mean = -sum(logProbs.map(sum)) / tokens;
      assert.ok(Math.abs(mean - 1.2664) < STORIES_TOLERANCE, `${mean} over ${tokens} tokens`);
      report(`mean −log p = ${mean.toFixed(5)} over ${tokens} tokens of ${stories.length} stories`);
    });
  },
);
