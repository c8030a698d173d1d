/**
 * A model named on the command line.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import type { Backend } from "../graph/backend.ts";
import type { ByteSource } from "../models/checkpoints/byte_source.ts";
import { type Checkpoint, openCheckpoint } from "../models/checkpoints/open.ts";
import { openEmbeddedPolicy } from "../models/embedded/mod.ts";
import { LanguageModel } from "../models/language_model.ts";
import type { LanguageModelOptions } from "../models/language_model_options.ts";
import { fileError } from "./errors.ts";
import { openCheckpointFiles, openFile, openFiles } from "./file_source.ts";
import { findOnHub } from "./hub/find.ts";
import { type LoadedCheckpoint, withTokenizer, withTokenizerBeside } from "./load_tokenizer.ts";
import type { BACKENDS } from "./options/shared.ts";
import type { Progress } from "./progress.ts";

/** What names a model. */
export interface ModelArguments {
  readonly model: string;
  readonly tokenizer?: string | undefined;
}

/** What loading needs beside its arguments. */
export interface LoadContext {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Aborts the signal, as Ctrl-C does. */
  readonly interrupt: () => void;
  /** Disposes what was opened. */
  readonly resources: AsyncDisposableStack;
}

/** What names a place to compute. */
export interface BackendArguments {
  readonly backend: typeof BACKENDS[number];
  readonly threads?: number | undefined;
}

/** The word that names the policy in this repository, and its folder. */
const EMBEDDED = "embedded";
const EMBEDDED_FILES: URL = new URL("../models/embedded/files", import.meta.url);

/**
 * Opens a checkpoint: a folder, a .gguf file, a llama2.c .bin file, `embedded`, or a model of the
 * Hugging Face hub, `owner/name` where it is in the cache and `hf:owner/name` to download it. The
 * tokenizer is its own or the one given: a tokenizer's file, or another checkpoint. Files stay open
 * until `resources` is disposed.
 */
export async function loadCheckpoint(
  { model, tokenizer }: ModelArguments,
  context: LoadContext,
): Promise<LoadedCheckpoint> {
  const opened = await openModel(model, context);
  if (tokenizer === undefined) return opened;
  if (!/\.(bin|json)$/i.test(tokenizer)) {
    const { checkpoint: { text }, files } = await openModel(tokenizer, context);
    return { checkpoint: { ...opened.checkpoint, text }, files };
  }
  return await withTokenizer(opened, await openTokenizer(tokenizer, context.resources));
}

async function openModel(model: string, context: LoadContext): Promise<LoadedCheckpoint> {
  const { resources } = context;
  const embedded = model === EMBEDDED;
  if (embedded && EMBEDDED_FILES.protocol !== "file:") {
    return { checkpoint: await openEmbeddedPolicy(), files: {} };
  }
  try {
    const path = embedded ? fileURLToPath(EMBEDDED_FILES) : model;
    const onHub = await findOnHub(path, context);
    const { files } = resources.use(
      await (onHub ? openFiles(onHub.paths) : openCheckpointFiles(path)),
    );
    const checkpoint = await openCheckpoint(files);
    const { config } = checkpoint;
    const named = onHub
      ? { ...checkpoint, config: { name: onHub.repository, ...config } }
      : checkpoint;
    return await withTokenizerBeside({ checkpoint: named, files });
  } catch (error) {
    throw fileError(error, `read the model ${model}`);
  }
}

async function openTokenizer(path: string, resources: AsyncDisposableStack): Promise<ByteSource> {
  try {
    return resources.use(await openFile(path));
  } catch (error) {
    throw fileError(error, `read the tokenizer ${path}`);
  }
}

/** Makes the backend asked for; `resources` disposes it. */
export async function loadBackend(
  { backend, threads }: BackendArguments,
  resources: AsyncDisposableStack,
): Promise<Backend> {
  const made = await makeBackend(backend, threads);
  resources.defer(() => made.dispose());
  return made;
}

async function makeBackend(
  name: BackendArguments["backend"],
  threads: number | undefined,
): Promise<Backend> {
  const given = threads === undefined ? {} : { threads };
  switch (name) {
    case "onnx":
      return await (await import("../backends/onnx/mod.ts")).createOnnxBackend(given);
    case "onnx-wasm":
    case "onnx-webgpu": {
      const { createOnnxWebBackend } = await import("../backends/onnx/mod.ts");
      const device = name.slice("onnx-".length) as "wasm" | "webgpu";
      return await createOnnxWebBackend({ device, ...given });
    }
    case "tfjs-webgpu":
    case "tfjs-wasm":
    case "tfjs-cpu": {
      const device = name.slice("tfjs-".length) as "webgpu" | "wasm" | "cpu";
      return await (await import("../backends/tfjs/mod.ts")).createTfjsBackend({ device });
    }
    case "reference":
      return (await import("../graph/reference_backend.ts")).createReferenceBackend();
    default:
      return name satisfies never;
  }
}

/** Puts a checkpoint on a backend, with progress; `resources` disposes it. */
export async function loadModel(
  checkpoint: Checkpoint,
  backend: Backend,
  options: LanguageModelOptions,
  { progress, signal, resources }: LoadContext,
): Promise<LanguageModel> {
  const model = await LanguageModel.load(checkpoint, backend, {
    ...options,
    signal,
    onProgress: ({ done, total }) => progress.update("loading the model", done, total, "bytes"),
  });
  progress.finish();
  resources.defer(() => model.dispose());
  return model;
}
