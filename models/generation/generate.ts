/**
 * Batched sampling: each prompt is prefilled once and its caches are shared out to its K rows; rows
 * that end make room for the next prompts.
 *
 * What is computed together depends on the prompts and the options alone, never on timing.
 *
 * @module
 */

import {
  type FinishReason,
  type Prompt,
  randomStream,
  type Response,
  type Sampled,
  type SampleOptions,
} from "../../core/mod.ts";
import type { BoundExecutable, HostTensor } from "../../graph/mod.ts";
import { chooseToken, logitBlockSize } from "./choose_token.ts";
import { stopWatch } from "./stop_strings.ts";

/** A prompt with its tokens. */
export interface TokenizedPrompt {
  /** x. */
  readonly prompt: Prompt;
  /** Its tokens, at least one. */
  readonly ids: readonly number[];
}

/** A row copied to another's place. */
export interface RowCopy {
  /** Where it is. */
  readonly from: number;
  /** Where it goes. */
  readonly to: number;
}

/** The decode program bound to a policy's weights and to two caches. One generation at a time. */
export interface Decoder {
  /** Fills the caches of prompts. */
  readonly prefill: BoundExecutable;
  /** Adds to the caches of responses, a row each. */
  readonly step: BoundExecutable;
  /** Prompts that can be prefilled at once. */
  readonly prefillRows: number;
  /** Responses side by side. */
  readonly slots: number;
  /** Tokens a row holds. */
  readonly capacity: number;
  /** Tokens after which a response is over. */
  readonly endOfTurnIds: readonly number[];
  /** Copies prompts' caches to rows of responses. */
  admit(copies: readonly RowCopy[]): Promise<void>;
  /** Moves rows of responses. */
  move(moves: readonly RowCopy[]): Promise<void>;
  /** Text of a response. */
  decode(ids: readonly number[]): string;
  /** Gives back its memory. */
  dispose(): Promise<void>;
}

/** A response being sampled. */
interface Row {
  readonly prompt: number;
  readonly sample: number;
  readonly random: { next(): number };
  readonly tokens: number[];
  /** The text before a stop string, once there is one. */
  readonly stopped: (tokens: readonly number[]) => string | undefined;
  /** Tokens in the cache. */
  past: number;
  logProb: number;
}

/** Logits of some rows. */
interface StepResult {
  readonly logits: Float32Array;
  readonly logNormalizer: Float32Array;
  readonly blockMaxima: Float32Array;
  readonly blockSums: Float32Array;
}

async function runDecoder(
  executable: BoundExecutable,
  rows: readonly (readonly number[])[],
  pasts: readonly number[],
  temperature: number,
  signal: AbortSignal | undefined,
): Promise<StepResult> {
  const batch = rows.length;
  const time = Math.max(...rows.map((ids) => ids.length));
  const ids = new Int32Array(batch * time);
  const positions = new Int32Array(batch * time);
  const last = new Int32Array(batch);
  const count = new Int32Array(batch);
  rows.forEach((own, row) => {
    ids.set(own, row * time);
    for (let t = 0; t < time; t++) positions[row * time + t] = pasts[row]! + t;
    last[row] = row * time + own.length - 1;
    count[row] = own.length;
  });
  const inputs: Record<string, HostTensor> = {
    ids: { shape: [batch, time], data: ids },
    positions: { shape: [batch, time], data: positions },
    past: { shape: [batch], data: Int32Array.from(pasts) },
    count: { shape: [batch], data: count },
    last: { shape: [batch], data: last },
    inverse_temperature: {
      shape: [1],
      data: Float32Array.of(temperature === 0 ? 1 : 1 / temperature),
    },
  };
  const outputs = await executable.run(inputs, signal ? { signal } : {});
  return {
    logits: outputs.logits!.data as Float32Array,
    logNormalizer: outputs.log_normalizer!.data as Float32Array,
    blockMaxima: outputs.block_maxima!.data as Float32Array,
    blockSums: outputs.block_sums!.data as Float32Array,
  };
}

/**
 * The response a row has become, if it has ended. Behind a stop string the text is cut; `tokenIds` and
 * `logProb` keep every token sampled, those of the stop string with them.
 */
function ended(row: Row, decoder: Decoder, options: SampleOptions): Response | undefined {
  const { tokens, logProb } = row;
  const finish = (text: string, finishReason: FinishReason): Response => ({
    text,
    tokenIds: tokens,
    logProb,
    finishReason,
  });
  if (decoder.endOfTurnIds.includes(tokens.at(-1)!)) {
    return finish(decoder.decode(tokens.slice(0, -1)), "stop");
  }
  const text = row.stopped(tokens);
  if (text !== undefined) return finish(text, "stop");
  return tokens.length >= options.maxTokens ? finish(decoder.decode(tokens), "length") : undefined;
}

/**
 * Samples K responses to each prompt, in order.
 *
 * @throws {RangeError} When K does not fit the slots, or a prompt and its response the capacity.
 */
export async function* generate(
  decoder: Decoder,
  prompts: readonly TokenizedPrompt[],
  options: SampleOptions,
): AsyncGenerator<Sampled> {
  const { samples, temperature, topP, topK = 0, minP = 0, maxTokens, stop = [], seed, signal } =
    options;
  const { slots, prefillRows, capacity } = decoder;
  if (samples > slots) {
    throw new RangeError(
      `Cannot sample as at most ${slots} responses fit side by side: ${samples}`,
    );
  }
  for (const { prompt, ids } of prompts) {
    if (ids.length + maxTokens > capacity) {
      throw new RangeError(
        `Cannot sample as prompt ${prompt.id} and its response must fit ${capacity} tokens: ` +
          `${ids.length} + ${maxTokens}`,
      );
    }
  }
  const decode = (ids: readonly number[]) => decoder.decode(ids);
  const choice = { temperature, topP, topK, minP };
  const vocabSize = (logits: Float32Array, rows: number) => logits.length / rows;
  const responses: (Response | undefined)[][] = prompts.map(() => Array(samples).fill(undefined));
  const active: Row[] = []; // row i lives in slot i
  let admitted = 0;
  let yielded = 0;

  const advance = (row: Row, result: StepResult, index: number, size: number): boolean => {
    const values = result.logits.subarray(index * size, (index + 1) * size);
    const blocks = size / logitBlockSize(size);
    const ofRow = (all: Float32Array) => all.subarray(index * blocks, (index + 1) * blocks);
    const logits = { values, maxima: ofRow(result.blockMaxima), sums: ofRow(result.blockSums) };
    const token = chooseToken(logits, choice, row.random.next());
    row.tokens.push(token);
    row.logProb += values[token]! - result.logNormalizer[index]!;
    const response = ended(row, decoder, options);
    if (response) responses[row.prompt]![row.sample] = response;
    return response === undefined;
  };

  /** Prefills prompts, given by their indices, and starts their samples. */
  const admit = async (group: readonly number[]): Promise<void> => {
    signal?.throwIfAborted();
    const rows = group.map((index) => prompts[index]!);
    const result = await runDecoder(
      decoder.prefill,
      rows.map(({ ids }) => ids),
      rows.map(() => 0),
      temperature,
      signal,
    );
    const size = vocabSize(result.logits, group.length);
    const copies: RowCopy[] = [];
    rows.forEach(({ prompt, ids }, from) => {
      for (let sample = 0; sample < samples; sample++) {
        const row: Row = {
          prompt: group[from]!,
          sample,
          random: randomStream(seed, prompt.id, sample),
          tokens: [],
          stopped: stop.length > 0 ? stopWatch(stop, decode) : () => undefined,
          past: ids.length,
          logProb: 0,
        };
        if (!advance(row, result, from, size)) continue;
        copies.push({ from, to: active.length });
        active.push(row);
      }
    });
    if (copies.length > 0) await decoder.admit(copies);
  };

  while (yielded < prompts.length) {
    // Admit as many waiting prompts as have room for all their samples, those of like length together.
    const room = Math.min(
      Math.floor((slots - active.length) / samples),
      prompts.length - admitted,
    );
    const byLength = Array.from({ length: room }, (_, index) => admitted + index)
      .sort((a, b) => prompts[a]!.ids.length - prompts[b]!.ids.length);
    for (let first = 0; first < room; first += prefillRows) {
      await admit(byLength.slice(first, first + prefillRows));
    }
    admitted += room;

    if (active.length > 0) {
      signal?.throwIfAborted();
      const result = await runDecoder(
        decoder.step,
        active.map((row) => [row.tokens.at(-1)!]),
        active.map((row) => row.past),
        temperature,
        signal,
      );
      const size = vocabSize(result.logits, active.length);
      const done: number[] = [];
      active.forEach((row, index) => {
        row.past++;
        if (!advance(row, result, index, size)) done.push(index);
      });
      // The last rows move into the gaps, so that the active ones stay the first.
      const moves: { from: number; to: number }[] = [];
      for (const slot of done.reverse()) {
        const lastRow = active.pop()!;
        if (slot === active.length) continue;
        moves.push({ from: active.length, to: slot });
        active[slot] = lastRow;
      }
      if (moves.length > 0) await decoder.move(moves);
    }

    while (yielded < prompts.length) {
      const finished = responses[yielded]!.filter((response) => response !== undefined);
      if (finished.length < samples) break;
      responses[yielded] = [];
      yield { prompt: prompts[yielded]!.prompt, responses: finished };
      yielded++;
    }
  }
}
