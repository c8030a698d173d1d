import { strict as assert } from "node:assert";
import { loraTensors } from "../../models/architectures/mod.ts";
import { writeAdapter } from "../../models/checkpoints/peft.ts";
import { openCheckpoint } from "../../models/checkpoints/open.ts";
import { sources } from "../models/_files.ts";
import { inTempFolder, sppo } from "./_run.ts";
import { tinyModelFiles, writeTinyModel } from "./_tiny_model.ts";

/** An adapter that changes the model, on one layer of each block. */
async function writeTinyAdapter(folder: string): Promise<void> {
  const { config } = await openCheckpoint(sources(tinyModelFiles()));
  const tensors = new Map(
    loraTensors(config, { rank: 2, alpha: 4, targets: ["q_proj"] }).map(({ name, shape }) => {
      const length = shape[0]! * shape[1]!;
      const data = Float32Array.from({ length }, (_, i) => Math.sin(7 * i) / 3);
      return [name, { shape, data }];
    }),
  );
  await Deno.mkdir(folder);
  for (const [name, bytes] of Object.entries(writeAdapter(tensors, { rank: 2, alpha: 4 }))) {
    await Deno.writeFile(`${folder}/${name}`, bytes);
  }
}

Deno.test("sppo export writes models that score as the model with its adapter", async () => {
  await inTempFolder(async (cwd) => {
    await writeTinyModel(`${cwd}/tiny`);
    await writeTinyAdapter(`${cwd}/lora`);
    await Deno.writeTextFile(
      `${cwd}/in.jsonl`,
      `${JSON.stringify({ prompt: "Why?", response: "No." })}\n`,
    );
    const run = async (args: readonly string[]) => {
      const ended = await sppo(args, { cwd });
      assert.equal(ended.code, 0, ended.stderr);
      return ended.stdout;
    };
    const score = async (model: readonly string[]) => {
      const args = ["score", "--input", "in.jsonl", "--backend", "reference", "--model", ...model];
      return (JSON.parse(await run(args)) as { log_prob: number }).log_prob;
    };
    const merged = ["--model", "tiny", "--adapter", "lora"];
    const expected = await score(["tiny", "--adapter", "lora"]);
    for (
      const [format, out, tolerance] of [
        ["safetensors", "merged", 1e-5],
        ["gguf", "m.gguf", 1e-3], // weights of 11 bits
      ] as const
    ) {
      const said = await run(["export", ...merged, "--format", format, "--out", out]);
      assert.match(said, new RegExp(`^${out}  [\\d.]+ KiB\n$`));
      assert.ok(Math.abs(await score([out]) / expected - 1) < tolerance, format);
    }
    await run(["export", ...merged, "--format", "peft", "--out", "copy"]);
    assert.equal(await score(["tiny", "--adapter", "copy"]), expected);
    const config = JSON.parse(await Deno.readTextFile(`${cwd}/copy/adapter_config.json`));
    assert.equal(config.base_model_name_or_path, "tiny");
    await run(["export", ...merged, "--format", "onnx", "--out", "web"]);
    assert.deepEqual([...Deno.readDirSync(`${cwd}/web/onnx`)].map(({ name }) => name).sort(), [
      "model.onnx",
      "model.onnx_data",
    ]);
    for (
      const [args, message] of [
        [
          ["--format", "gguf", "--out", "m.gguf"],
          /Cannot export to m.gguf as nothing must be there/,
        ],
        [["--format", "peft", "--out", "x"], /Cannot export to peft as there must be an adapter/],
        [
          ["--format", "gguf", "--dtype", "bf16", "--out", "x.gguf"],
          /Cannot export to gguf as --dtype must be f16 or q8_0 or f32: bf16/,
        ],
      ] as const
    ) {
      const { code, stderr } = await sppo(["export", "--model", "tiny", ...args], { cwd });
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });
});
