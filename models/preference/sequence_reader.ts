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
import { fromFloat32 } from "../../graph/mod.ts";
import { type NamedShape, WEIGHTS } from "../architectures/layout.ts";
import { ADAPTER, type LoraShape } from "../architectures/lora.ts";
import type { FloatTensor } from "../checkpoints/safetensors.ts";
import { type ContentHash, contentHash, hashText } from "../content_hash.ts";
import { hashedSource } from "../hashed_source.ts";
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

/** An adapter on a trunk, with its values. */
export interface TrunkAdapter {
  /** Rank, scale and layers. */
  readonly lora: LoraShape;
  /** Values of A and B by name. */
  readonly tensors: ReadonlyMap<string, FloatTensor>;
}

/** Options of {@linkcode SequenceReader.load}. */
export interface SequenceReaderOptions {
  /** An adapter that the trunk carries. */
  readonly adapter?: TrunkAdapter | undefined;
  /** Tokens (rows × longest) of one run; 1024 when not given. */
  readonly tokensPerBatch?: number;
  /** Bytes of weights read. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the loading with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@linkcode SequenceReader.read}. */
export interface ReadSequencesOptions {
  /** Ends the reading with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Tokens (rows × longest) of one run; the reader's own when not given. */
  readonly tokensPerBatch?: number;
}

/** A trunk with its head, on one backend. */
export class SequenceReader {
  /** Covers weights, head and settings. */
  readonly id: string;
  /** Tokens (rows × longest) of one run. */
  readonly tokensPerBatch: number;
  readonly #trunk: Trunk;
  readonly #stores: readonly Store[];
  readonly #executable: Executable;
  readonly #bound: BoundExecutable;

  private constructor(
    fields: { id: string; trunk: Trunk; stores: readonly Store[]; executable: Executable },
    tokensPerBatch: number,
  ) {
    this.id = fields.id;
    this.#trunk = fields.trunk;
    this.#stores = fields.stores;
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
    { tokensPerBatch = 1024, adapter, onProgress, signal }: SequenceReaderOptions = {},
  ): Promise<SequenceReader> {
    const hashes: ContentHash[] = [];
    const entries = (shapes: readonly NamedShape[], from: ReadonlyMap<string, TensorSource>) =>
      shapes.map(({ name, shape }): TensorSource => {
        const source = from.get(name);
        if (source?.shape.join() !== shape.join()) {
          throw new RangeError(
            `Cannot load the judge as ${name} must have the shape [${shape.join(", ")}]: ` +
              (source ? `[${source.shape.join(", ")}]` : "it is absent"),
          );
        }
        const hash = contentHash();
        hashes.push(hash);
        return hashedSource(source, name, hash);
      });
    const given = signal ? { signal } : {};
    const constants: Record<string, Store> = {};
    constants[WEIGHTS] = await backend.createStore(
      entries([...trunk.tensors, ...head.tensors], tensors),
      { ...(onProgress ? { onProgress } : {}), ...given },
    );
    try {
      if (adapter) {
        const sources = new Map(
          [...adapter.tensors].map(([name, { shape, data }]) =>
            [name, fromFloat32(name, shape, data)] as const
          ),
        );
        const shapes = trunk.adapterTensors(adapter.lora);
        constants[ADAPTER] = await backend.createStore(entries(shapes, sources), given);
      }
      const g = new ProgramBuilder("reader");
      g.output("outputs", head.outputs(g, trunk.hidden(g, head.places, adapter?.lora)));
      const executable = await backend.compile(g.build(), { constants, ...given });
      const contents = hashes.map((hash) => hash.digest());
      const settings = [trunk.settings, head.settings, adapter?.lora ?? null];
      const id = hashText(JSON.stringify([contents, settings]));
      return new SequenceReader(
        { id, trunk, stores: Object.values(constants), executable },
        tokensPerBatch,
      );
    } catch (error) {
      for (const store of Object.values(constants)) await store.dispose();
      throw error;
    }
  }

  /**
   * The head's outputs of each sequence, in their order. Sequences of about the same length run
   * together; which ones do depends on the lengths alone.
   *
   * @throws {RangeError} When a sequence is empty or longer than the trunk can read.
   */
  async read(
    sequences: readonly PlacedSequence[],
    { signal, tokensPerBatch = this.tokensPerBatch }: ReadSequencesOptions = {},
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
    for (const plan of planBatches(lengths, tokensPerBatch)) {
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
    for (const store of this.#stores) await store.dispose();
  }
}
