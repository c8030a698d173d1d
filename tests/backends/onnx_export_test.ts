import { strict as assert } from "node:assert";
import { ONNXRUNTIME_PACKAGE } from "../../backends/onnx/_deps.ts";
import { exportDecoder } from "../../backends/onnx/export_decoder.ts";
import { createReferenceBackend } from "../../graph/reference_backend.ts";
import { type Checkpoint, openCheckpoint } from "../../models/checkpoints/open.ts";
import { externalData } from "../../models/export/mod.ts";
import { LanguageModel } from "../../models/language_model.ts";
import type { LanguageModelOptions } from "../../models/language_model_options.ts";
import { CACHE } from "../../models/programs/decode.ts";
import { exportProgram } from "../../models/programs/export.ts";
import { inTempFolder } from "../cli/_run.ts";
import { tinyModelFiles } from "../cli/_tiny_model.ts";
import { openVariant, storedNumbers } from "../models/_architectures.ts";
import { sources } from "../models/_files.ts";

interface Tensor {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** What is used of onnxruntime's own interface. */
interface Onnxruntime {
  readonly Tensor: new (
    type: string,
    data: Float32Array | BigInt64Array,
    dims: readonly number[],
  ) => Tensor;
  readonly InferenceSession: {
    create(path: string, options: object): Promise<{
      readonly inputNames: readonly string[];
      readonly outputNames: readonly string[];
      run(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
      release(): Promise<void>;
    }>;
  };
}

/** Two implementations in float32 and float64, over two layers. */
const TOLERANCE = 1e-4;

interface ExportCase {
  readonly checkpoint: Checkpoint;
  readonly options: LanguageModelOptions;
  readonly prompts: readonly [string, string];
  readonly responses: readonly [string, string];
}

const cases: Readonly<Record<string, () => Promise<ExportCase>>> = {
  "a Llama": async () => ({
    checkpoint: await openCheckpoint(sources(tinyModelFiles())),
    options: {},
    prompts: ["Why?", "How so, then?"],
    responses: ["No.", "Yes"],
  }),
  // Longer than its window, and with scores and logits beyond its caps.
  "a Gemma 2": async () => ({
    checkpoint: await openVariant((await storedNumbers()).variants.gemma2!),
    options: { template: "none" },
    prompts: ["5 9 3 40 7 8", "4 31 6 22 9 11 50 13"],
    responses: ["7 8 29", "6 12"],
  }),
};

for (const [name, open] of Object.entries(cases)) {
  Deno.test(`${name}, exported as a decoder, gives its log-probabilities, also padded on the left`, async () => {
    await inTempFolder(async (folder) => {
      const { checkpoint, options, ...texts } = await open();
      const { config, tensors } = checkpoint;
      const reference = await LanguageModel.load(checkpoint, createReferenceBackend(), options);
      const policy = await reference.policy();
      const prompts = texts.prompts.map((content) => ({ id: content, content }));
      const responses = texts.responses.map((text) => ({ text }));
      const groups = prompts.map((prompt, i) => ({ prompt, responses: [responses[i]!] }));
      const expected: number[] = [];
      for await (const [tokens] of policy.logProbs(groups)) {
        expected.push(tokens!.reduce((sum, one) => sum + one, 0));
      }

      const program = exportProgram(config);
      const { model, weights } = exportDecoder(program, {
        cache: CACHE,
        dataFile: "model.onnx_data",
      });
      await Deno.writeFile(`${folder}/model.onnx`, model);
      using data = await Deno.open(`${folder}/model.onnx_data`, { write: true, create: true });
      for await (const piece of externalData(weights, tensors).pieces()) await data.write(piece);

      const ort = await import(ONNXRUNTIME_PACKAGE) as Onnxruntime;
      const session = await ort.InferenceSession.create(`${folder}/model.onnx`, {
        intraOpNumThreads: 1,
      });
      assert.deepEqual(session.inputNames.slice(0, 3).toSorted(), [
        "attention_mask",
        "input_ids",
        "position_ids",
      ]);
      const int64 = (rows: readonly (readonly number[])[]) =>
        new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [
          rows.length,
          rows[0]!.length,
        ]);
      const ids = prompts.map((prompt) => reference.encodePrompt(prompt));
      const answers = responses.map((response) => reference.encodeResponse(response));
      const longest = Math.max(...ids.map(({ length }) => length));
      assert.ok(ids[0]!.length < longest); // so that there is padding
      const zeros = (length: number) => Array<number>(length).fill(0);
      let step = ids.map((row) => [...zeros(longest - row.length), ...row]);
      const mask = ids.map((row) => [...zeros(longest - row.length), ...row.map(() => 1)]);
      let past: Record<string, Tensor> = Object.fromEntries(
        session.inputNames.filter((name) => name.startsWith("past_key_values.")).map((name) => [
          name,
          new ort.Tensor("float32", new Float32Array(), [2, config.kvHeads, 0, config.headDim]),
        ]),
      );
      assert.equal(Object.keys(past).length, 2 * config.layers);
      const sums = [0, 0];
      for (let at = 0; at < Math.max(...answers.map(({ length }) => length)); at++) {
        const positions = mask.map((row) => {
          let seen = 0;
          return row.map((one) => Math.max((seen += one) - 1, 0)).slice(-step[0]!.length);
        });
        const { logits, ...present } = await session.run({
          input_ids: int64(step),
          attention_mask: int64(mask),
          position_ids: int64(positions),
          ...past,
        });
        answers.forEach((answer, row) => {
          const id = answer[at];
          if (id === undefined) return;
          const [, time, size] = logits!.dims as [number, number, number];
          const start = (row * time + time - 1) * size;
          const scores = logits!.data.subarray(start, start + size);
          const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
          sums[row]! += scores[id]! - Math.log(total);
        });
        past = Object.fromEntries(
          Object.entries(present).map(([name, tensor]) =>
            [name.replace("present", "past_key_values"), tensor] as const
          ),
        );
        step = answers.map((answer) => [answer[at] ?? 0]);
        for (const row of mask) row.push(1);
      }
      sums.forEach((sum, row) =>
        assert.ok(Math.abs(sum / expected[row]! - 1) < TOLERANCE, `${sum} for ${expected[row]}`)
      );
      await session.release();
      await policy.dispose();
      await reference.dispose();
    });
  });
}
