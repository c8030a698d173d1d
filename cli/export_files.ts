/**
 * The files of an exported model.
 *
 * @module
 */

import type { TensorSource } from "../graph/tensor_source.ts";
import { families } from "../models/architectures/mod.ts";
import { openGguf } from "../models/checkpoints/gguf.ts";
import { writeAdapter } from "../models/checkpoints/peft.ts";
import { readJsonObject } from "../models/checkpoints/byte_source.ts";
import {
  bytesStream,
  type ByteStream,
  configFile,
  externalData,
  ggufModel,
  ggufTokenizer,
  huggingFaceModel,
  type TokenizerOrigin,
} from "../models/export/mod.ts";
import type { LoadedAdapter } from "../models/policy_files.ts";
import { CACHE } from "../models/programs/decode.ts";
import { exportProgram } from "../models/programs/export.ts";
import { readLlama2cTokenizer } from "../models/text/llama2c_tokenizer.ts";
import { llama2cTokenizerIn, type LoadedCheckpoint, tokenizerFiles } from "./load_tokenizer.ts";
import type { exportOptions } from "./options/tables.ts";
import type { Values } from "./options/spec.ts";

/** What is exported. */
export interface ExportRequest {
  readonly loaded: LoadedCheckpoint;
  readonly adapter: LoadedAdapter | undefined;
  /** The model's tensors, with the adapter in them where there is one. */
  readonly tensors: ReadonlyMap<string, TensorSource>;
  /** Hub name or path of the model. */
  readonly baseModel: string;
}

/** Largest tokenizer.json that is read, in bytes. */
const MAX_JSON_BYTES = 64 << 20;
const ONNX_DATA = "model.onnx_data";

/** Encodings of each format, the default first. */
const ENCODINGS = {
  safetensors: ["f32", "f16", "bf16"],
  gguf: ["f16", "q8_0", "f32"],
  onnx: ["f32"],
  peft: ["f32"],
} as const;

/**
 * Files by their paths under the output; the name of a single file is empty.
 *
 * @throws {Error} When the format cannot hold the model or its tokenizer.
 */
export async function exportStreams(
  request: ExportRequest,
  { format, dtype }: Pick<Values<typeof exportOptions>, "format" | "dtype">,
): Promise<Record<string, ByteStream>> {
  const encodingOf = <E extends string>(allowed: readonly [E, ...E[]]): E => {
    const found = dtype === undefined ? allowed[0] : allowed.find((one) => one === dtype);
    if (found === undefined) {
      throw new RangeError(
        `Cannot export to ${format} as --dtype must be ${allowed.join(" or ")}: ${dtype}`,
      );
    }
    return found;
  };
  const { loaded, tensors } = request;
  const { config } = loaded.checkpoint;
  switch (format) {
    case "safetensors":
      return {
        ...await textFiles(loaded),
        ...huggingFaceModel(config, tensors, encodingOf(ENCODINGS.safetensors)),
      };
    case "gguf": {
      const text = await loaded.checkpoint.text();
      const tokenizer = ggufTokenizer(await tokenizerOrigin(loaded), text, config.vocabSize);
      return {
        "": ggufModel(config, tensors, { encoding: encodingOf(ENCODINGS.gguf), tokenizer }),
      };
    }
    case "onnx": {
      encodingOf(ENCODINGS.onnx);
      const { exportDecoder } = await import("../backends/onnx/export_decoder.ts");
      const options = { cache: CACHE, dataFile: ONNX_DATA };
      const { model, weights } = exportDecoder(exportProgram(config), options);
      const js = { "transformers.js_config": { use_external_data_format: { "model.onnx": 1 } } };
      return {
        ...await textFiles(loaded),
        "config.json": configFile(config, js),
        [`onnx/${ONNX_DATA}`]: externalData(weights, tensors),
        "onnx/model.onnx": bytesStream(model),
      };
    }
    case "peft":
      encodingOf(ENCODINGS.peft);
      return adapterStreams(request);
    default:
      return format satisfies never;
  }
}

function adapterStreams({ adapter, baseModel, loaded }: ExportRequest): Record<string, ByteStream> {
  if (adapter === undefined) {
    throw new TypeError("Cannot export to peft as there must be an adapter: give --adapter");
  }
  const { rank, alpha, rsLora, targets } = adapter.lora;
  const files = writeAdapter(adapter.tensors, {
    rank,
    alpha,
    ...(rsLora ? { rsLora } : {}),
    targets,
    fanInFanOut: families[loaded.checkpoint.config.architecture].names === "gpt2",
    baseModel: adapter.baseModel ?? baseModel,
  });
  return streams({ ...files });
}

async function textFiles(loaded: LoadedCheckpoint): Promise<Record<string, ByteStream>> {
  return streams(await tokenizerFiles(loaded, "export the model"));
}

function streams(files: Readonly<Record<string, Uint8Array>>): Record<string, ByteStream> {
  return Object.fromEntries(
    Object.entries(files).map(([name, bytes]) => [name, bytesStream(bytes)]),
  );
}

async function tokenizerOrigin({ files, checkpoint }: LoadedCheckpoint): Promise<TokenizerOrigin> {
  const json = Object.hasOwn(files, "tokenizer.json") ? files["tokenizer.json"] : undefined;
  if (json) {
    return {
      kind: "huggingface",
      json: await readJsonObject(json, { maxBytes: MAX_JSON_BYTES }),
    };
  }
  const gguf = Object.keys(files).find((name) => /\.gguf$/i.test(name));
  if (gguf !== undefined) {
    return { kind: "gguf", metadata: (await openGguf(files[gguf]!)).metadata };
  }
  const bin = llama2cTokenizerIn(files);
  if (bin) {
    const { vocabSize } = checkpoint.config;
    return { kind: "sentencepiece", model: await readLlama2cTokenizer(bin, vocabSize) };
  }
  throw new Error(
    "Cannot export to gguf as the tokenizer must be in a file that can be read: give --tokenizer",
  );
}
