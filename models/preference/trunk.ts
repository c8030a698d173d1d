/**
 * What judges are built on: a model that turns token sequences into hidden states at chosen places.
 *
 * @module
 */

import type { HostTensor, ProgramBuilder, Value } from "../../graph/mod.ts";
import { type DebertaConfig, debertaTensors } from "../architectures/deberta_config.ts";
import { debertaHidden, debertaInputs } from "../architectures/deberta.ts";
import {
  type DecoderConfig,
  decoderHidden,
  type LoraShape,
  loraTensors,
  type NamedShape,
  selectRows,
} from "../architectures/mod.ts";
import { requiredTensors } from "../architectures/layout.ts";
import {
  cutIntoBlocks,
  distanceInputs,
  placeDistances,
} from "../architectures/relative_distances.ts";
import { product } from "../../graph/mod.ts";

/** A sequence and the places in it whose hidden states are wanted. */
export interface PlacedSequence {
  /** Token ids, at least one. */
  readonly ids: readonly number[];
  /** Indices into `ids`; as many in every sequence. */
  readonly places: readonly number[];
}

/** A model without its head. */
export interface Trunk {
  /** What its numbers depend on beside its tensors, as a text. */
  readonly settings: string;
  /** Width of its hidden states. */
  readonly hiddenSize: number;
  /** Rows of its embedding: token ids are below it. */
  readonly vocabSize: number;
  /** Longest sequence it can read; none when absent. */
  readonly maxPositions?: number;
  /** Its tensors in the scope `weights`. */
  readonly tensors: readonly NamedShape[];
  /** The tensors of an adapter on it. @throws {RangeError} Where it cannot carry one. */
  adapterTensors(lora: LoraShape): readonly NamedShape[];
  /**
   * Declares its inputs and computes the hidden states at so many places of each row.
   *
   * @returns float32 [places · batch, hiddenSize], the places of a row side by side.
   */
  hidden(g: ProgramBuilder, places: number, lora?: LoraShape): Value;
  /** Its inputs for some sequences, rows padded at the end. */
  pack(sequences: readonly PlacedSequence[]): Record<string, HostTensor>;
}

/** A DeBERTa-v2 or v3 encoder. */
export function debertaTrunk(config: DebertaConfig): Trunk {
  return {
    settings: JSON.stringify(config),
    hiddenSize: config.hiddenSize,
    vocabSize: config.vocabSize,
    ...(config.absolutePositions > 0 ? { maxPositions: config.absolutePositions } : {}),
    tensors: debertaTensors(config),
    adapterTensors() {
      throw new RangeError(
        "Cannot train an adapter as the trunk must be a decoder (train the head only): DeBERTa",
      );
    },
    hidden: (g, places) => debertaHidden(g, config, debertaInputs(g, config, places)),
    pack(sequences) {
      const longest = Math.max(...sequences.map(({ ids }) => ids.length));
      const blocks = cutIntoBlocks(longest);
      const time = blocks.blocks * blocks.rows;
      return {
        ...packRows(sequences, time),
        lengths: vector(sequences.map(({ ids }) => ids.length)),
        selected_distances: placeDistances(config, sequences.flatMap(({ places }) => places), time),
        ...distanceInputs(config, blocks),
      };
    },
  };
}

/** A decoder-only language model; its vocabulary matrix is not read. */
export function decoderTrunk(config: DecoderConfig): Trunk {
  const tied = { ...config, tieWordEmbeddings: true };
  return {
    settings: JSON.stringify(config),
    hiddenSize: config.hiddenSize,
    vocabSize: config.vocabSize,
    maxPositions: config.maxPositions,
    tensors: [...requiredTensors(tied)].map(([name, shape]) => ({ name, shape })),
    adapterTensors: (lora) => loraTensors(config, lora),
    hidden(g, places, lora) {
      const ids = g.input("ids", "int32", ["batch", "time"]);
      const selected = g.input("selected", "int32", [product(places, "batch")]);
      const hidden = decoderHidden(g, config, {
        ids,
        positions: g.iota(["batch", "time"], 1),
        lora,
        attend: (_, query, key, value, { window, ...scores }) =>
          g.attention(query, key, value, {
            ...scores,
            mask: { kind: "causal", ...(window === undefined ? {} : { window }) },
          }),
      });
      return selectRows(g, hidden, selected);
    },
    pack: (sequences) => packRows(sequences, Math.max(...sequences.map(({ ids }) => ids.length))),
  };
}

function vector(values: readonly number[]): HostTensor {
  return { shape: [values.length], data: Int32Array.from(values) };
}

/** `ids` [B, time] and `selected` [places · B]. */
function packRows(
  sequences: readonly PlacedSequence[],
  time: number,
): Record<string, HostTensor> {
  const ids = new Int32Array(sequences.length * time);
  sequences.forEach((sequence, row) => ids.set(sequence.ids, row * time));
  return {
    ids: { shape: [sequences.length, time], data: ids },
    selected: vector(
      sequences.flatMap(({ places }, row) => places.map((place) => row * time + place)),
    ),
  };
}
