/**
 * `sppo export`: a model for other programs.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { mergedTensors } from "../../models/export/merged.ts";
import { loadCheckpoint } from "../load_model.ts";
import { openAdapter } from "../load_policy.ts";
import { type ExportRequest, exportStreams } from "../export_files.ts";
import { exportOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import { byteSize } from "../progress.ts";
import { openWhole } from "../whole_file.ts";
import type { Command } from "./command.ts";

/** The command. */
export const exportCommand: Command<typeof exportOptions> = {
  name: "export",
  summary: "a model for other programs",
  description: `Writes a checkpoint, with an adapter merged into it where one is given, as
  safetensors  a Hugging Face folder, for transformers
  gguf         a .gguf file, for llama.cpp
  onnx         a folder for transformers.js and onnxruntime, with caches as inputs and outputs
  peft         the adapter alone, for peft
Tensors are read, merged and written one after another.`,
  options: exportOptions,
  async prepare(context) {
    const values = resolveValues(exportOptions, context.layers);
    const { progress, signal, print } = context;
    await refuseExisting(values.out);
    const loaded = await loadCheckpoint(values, context);
    const { config, tensors } = loaded.checkpoint;
    const adapter = values.adapter === undefined
      ? undefined
      : await openAdapter(values.adapter, config);
    const request: ExportRequest = {
      loaded,
      adapter,
      tensors: adapter ? mergedTensors(tensors, adapter) : tensors,
      baseModel: config.name ?? values.model,
    };
    const streams = await exportStreams(request, values);
    return {
      async run() {
        const total = Object.values(streams).reduce((sum, { byteLength }) => sum + byteLength, 0);
        let done = 0;
        for (const [name, stream] of Object.entries(streams)) {
          const path = name === "" ? values.out : `${values.out}/${name}`;
          await using file = await openWhole(path);
          for await (const piece of stream.pieces({ signal })) {
            await file.write(piece);
            progress.update("exporting", done += piece.length, total, "bytes");
          }
          await file.commit();
        }
        progress.finish();
        print(`${values.out}  ${byteSize(total)}`);
      },
      kept: () => "files that are whole are there; run it again elsewhere",
    };
  },
};

async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found !== undefined) {
    throw new Error(`Cannot export to ${path} as nothing must be there: something is`);
  }
}
