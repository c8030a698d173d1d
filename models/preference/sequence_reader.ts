/**
 * A trunk and a head on a backend: token sequences in, a few numbers of each out.
 *
 * @module
 */

import type {
  Backend,
  BoundExecutable,
  Executable,
  Progress,
  Store,
  TensorSource,
} from "../../graph/mod.ts";
import { ProgramBuilder, type Value } from "../../graph/mod.ts";
import { type NamedShape, WEIGHTS } from "../architectures/layout.ts";
import { type ContentHash, contentHash, hashText } from "../content_hash.ts";
import { planBatches } from "./plan_batches.ts";
import type { PlacedSequence, Trunk } from "./trunk.ts";

/** What is computed from hidden states. */
export interface Head {
  /** Its tensors in the scope `weights`. */
  readonly tensors: readonly NamedShape[];
  /** Hidden states it takes of each sequence. */
  readonly places: number;
  /** Settings that its outputs depend on beside its tensors, for the reader's id. */
  readonly settings: readonly (string | number | boolean)[];
  /** Outputs [batch, n] from hidden states [places · batch, hiddenSize]. */
  outputs(g: ProgramBuilder, hidden: Value): Value;
}

/** Options of {@linkcode SequenceReader.load}. */
export interface SequenceReaderOptions {
  /** Tokens (rows × longest) of one run; 1024 when not given. */
  readonly tokensPerBatch?: number;
  /** Bytes of weights read. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the loading with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** A trunk with its head, on one backend. */
export class SequenceReader {
  /** Covers weights, head and settings. */
  readonly id: string;
  /** Tokens (rows × longest) of one run. */
  readonly tokensPerBatch: number;
  readonly #trunk: Trunk;
  readonly #weights: Store;
  readonly #executable: Executable;
  readonly #bound: BoundExecutable;

  private constructor(
    fields: { id: string; trunk: Trunk; weights: Store; executable: Executable },
    tokensPerBatch: number,
  ) {
    this.id = fields.id;
    this.#trunk = fields.trunk;
    this.#weights = fields.weights;
    this.#executable = fields.executable;
    this.#bound = fields.executable.bind();
    this.tokensPerBatch = tokensPerBatch;
  }

  /**
   * Puts the tensors of trunk and head on a backend and compiles their program.
   *
   * @param tensors The tensors of both by name; others are not read.
   * @throws {RangeError} When one is absent or has another shape.
   */
  static async load(
    trunk: Trunk,
    head: Head,
    tensors: ReadonlyMap<string, TensorSource>,
    backend: Backend,
    { tokensPerBatch = 1024, onProgress, signal }: SequenceReaderOptions = {},
  ): Promise<SequenceReader> {
    const hashes: ContentHash[] = [];
    const entries = [...trunk.tensors, ...head.tensors].map(({ name, shape }): TensorSource => {
      const source = tensors.get(name);
      if (source?.shape.join() !== shape.join()) {
        throw new RangeError(
          `Cannot load the judge as ${name} must have the shape [${shape.join(", ")}]: ` +
            (source ? `[${source.shape.join(", ")}]` : "it is absent"),
        );
      }
      const hash = contentHash();
      hashes.push(hash);
      return hashed(source, name, hash);
    });
    const given = signal ? { signal } : {};
    const weights = await backend.createStore(entries, {
      ...(onProgress ? { onProgress } : {}),
      ...given,
    });
    const g = new ProgramBuilder("reader");
    g.output("outputs", head.outputs(g, trunk.hidden(g, head.places)));
    let executable: Executable;
    try {
      executable = await backend.compile(g.build(), {
        constants: { [WEIGHTS]: weights },
        ...given,
      });
    } catch (error) {
      await weights.dispose();
      throw error;
    }
    const contents = hashes.map((hash) => hash.digest());
    const id = hashText(JSON.stringify([contents, head.settings]));
    return new SequenceReader({ id, trunk, weights, executable }, tokensPerBatch);
  }

  /**
   * The head's outputs of each sequence, in their order. Sequences of about the same length run
   * together; which ones do depends on the lengths alone.
   *
   * @throws {RangeError} When a sequence is empty or longer than the trunk can read.
   */
  async read(
    sequences: readonly PlacedSequence[],
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const { maxPositions = Infinity, vocabSize } = this.#trunk;
    for (const { ids } of sequences) {
      if (ids.length < 1 || ids.length > maxPositions) {
        throw new RangeError(
          `Cannot read the sequence as it must have 1 to ${maxPositions} tokens: ${ids.length}`,
        );
      }
      const foreign = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
      if (foreign !== undefined) {
        throw new RangeError(
          `Cannot read the sequence as its token ids must be from 0 to ${
            vocabSize - 1
          }: ${foreign}`,
        );
      }
    }
    const read: Float32Array[] = sequences.map(() => new Float32Array(0));
    const lengths = sequences.map(({ ids }) => ids.length);
    for (const plan of planBatches(lengths, this.tokensPerBatch)) {
      signal?.throwIfAborted();
      const inputs = this.#trunk.pack(plan.map((index) => sequences[index]!));
      const { outputs } = await this.#bound.run(inputs, signal ? { signal } : {});
      const data = outputs!.data as Float32Array;
      const width = data.length / plan.length;
      plan.forEach((index, row) => read[index] = data.slice(row * width, (row + 1) * width));
    }
    return read;
  }

  /** Frees the weights and the program. */
  async dispose(): Promise<void> {
    await this.#bound.dispose();
    await this.#executable.dispose();
    await this.#weights.dispose();
  }
}

/** A tensor whose bytes are hashed as they are read. */
function hashed(source: TensorSource, name: string, hash: ContentHash): TensorSource {
  return {
    name,
    shape: source.shape,
    encoding: source.encoding,
    byteLength: source.byteLength,
    async read(start, end, options) {
      const bytes = await source.read(start, end, options);
      hash.add(bytes);
      return bytes;
    },
  };
}
