/**
 * A model named on the command line.
 *
 * @module
 */

import type { Backend } from "../graph/backend.ts";
import { type Checkpoint, openCheckpoint } from "../models/checkpoints/open.ts";
import { openEmbeddedPolicy } from "../models/embedded/mod.ts";
import { LanguageModel, type LanguageModelOptions } from "../models/language_model.ts";
import { fileError } from "./errors.ts";
import { openCheckpointFiles, openFile, type OpenFiles } from "./file_source.ts";
import type { Progress } from "./progress.ts";

/** What names a model. */
export interface ModelArguments {
  readonly model: string;
  readonly tokenizer?: string | undefined;
}

/** What names a place to compute. */
export interface BackendArguments {
  readonly backend: "onnx" | "reference";
  readonly threads?: number | undefined;
}

/** The word that names the policy in this repository. */
const EMBEDDED = "embedded";

/**
 * Opens a checkpoint: `embedded`, or a folder, a .gguf file or a llama2.c .bin file, with its tokenizer
 * beside it or given. Its files stay open until `resources` is disposed.
 */
export async function loadCheckpoint(
  { model, tokenizer }: ModelArguments,
  resources: AsyncDisposableStack,
): Promise<Checkpoint> {
  if (model === EMBEDDED && tokenizer === undefined) return await openEmbeddedPolicy();
  let open: OpenFiles;
  try {
    open = await openCheckpointFiles(model);
  } catch (error) {
    throw fileError(error, `read the model ${model}`);
  }
  resources.use(open);
  let files = open.files;
  if (tokenizer !== undefined) {
    try {
      const file = resources.use(await openFile(tokenizer));
      const kept = Object.entries(files).filter(([name]) => !/^tok.*\.bin$/i.test(name));
      const name = /\.json$/i.test(file.name)
        ? "tokenizer.json"
        : /^tok.*\.bin$/i.test(file.name)
        ? file.name
        : `tok-${file.name}`;
      files = { ...Object.fromEntries(kept), [name]: file };
    } catch (error) {
      throw fileError(error, `read the tokenizer ${tokenizer}`);
    }
  }
  return await openCheckpoint(files);
}

/** Makes the backend asked for; `resources` disposes it. */
export async function loadBackend(
  { backend, threads = navigator.hardwareConcurrency }: BackendArguments,
  resources: AsyncDisposableStack,
): Promise<Backend> {
  const made = await makeBackend(backend, threads);
  resources.defer(() => made.dispose());
  return made;
}

async function makeBackend(name: BackendArguments["backend"], threads: number): Promise<Backend> {
  switch (name) {
    case "onnx":
      return await (await import("../backends/onnx/mod.ts")).createOnnxBackend({ threads });
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
  context: {
    readonly progress: Progress;
    readonly signal: AbortSignal;
    readonly resources: AsyncDisposableStack;
  },
): Promise<LanguageModel> {
  const { progress, signal, resources } = context;
  const model = await LanguageModel.load(checkpoint, backend, {
    ...options,
    signal,
    onProgress: ({ done, total }) => progress.update("loading the model", done, total, "bytes"),
  });
  progress.finish();
  resources.defer(() => model.dispose());
  return model;
}
