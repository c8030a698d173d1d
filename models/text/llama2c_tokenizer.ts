/**
 * The tokenizer file of karpathy/llama2.c (`tokenizer.bin`, `tok512.bin`).
 *
 * Source: `tokenizer.py` (export) and `run.c` (build_tokenizer).
 *
 * @module
 */

import type { ByteSource, ReadOptions } from "../checkpoints/byte_source.ts";
import { PIECE, type SentencePieceModel, sentencePieceTokenizer } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

const MAX_BYTES = 64 << 20;
/** `<unk>`, `<s>` and `</s>`, then the 256 bytes, come first. */
const FIRST_NORMAL = 3 + 256;

/**
 * Reads the tokenizer that goes with a llama2.c checkpoint of `vocabSize` tokens: the longest
 * piece's length (uint32), then for each piece its score (float32), length (uint32) and UTF-8.
 *
 * @throws {SyntaxError} If the file does not hold exactly that many pieces.
 */
export async function llama2cTokenizer(
  file: ByteSource,
  vocabSize: number,
  options: ReadOptions = {},
): Promise<Tokenizer> {
  return sentencePieceTokenizer(await readLlama2cTokenizer(file, vocabSize, options));
}

/** What {@linkcode llama2cTokenizer} reads, as data. */
export async function readLlama2cTokenizer(
  file: ByteSource,
  vocabSize: number,
  options: ReadOptions = {},
): Promise<SentencePieceModel> {
  const fail = (rule: string, found: unknown): never => {
    throw new SyntaxError(`Cannot read ${file.name} as ${rule}: ${found}`);
  };
  if (file.size > MAX_BYTES) fail(`it must be at most ${MAX_BYTES} bytes`, file.size);
  if (4 + 8 * vocabSize > file.size) {
    fail(`it must hold the model's ${vocabSize} pieces`, `${file.size} bytes`);
  }
  const bytes = await file.read(0, file.size, options);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pieces: string[] = [];
  const scores: number[] = [];
  const kinds: number[] = [];
  let at = 4;
  while (at < bytes.length) {
    const id = pieces.length;
    if (id === vocabSize) fail(`it must hold the model's ${vocabSize} pieces`, "it holds more");
    if (at + 8 > bytes.length) fail(`it must be whole (is it cut short?)`, `piece ${id} is not`);
    const score = view.getFloat32(at, true);
    const length = view.getUint32(at + 4, true);
    at += 8;
    if (Number.isNaN(score)) fail(`the score of piece ${id} must be a number`, score);
    if (at + length > bytes.length) {
      fail(`piece ${id} must lie within its ${bytes.length} bytes`, `${length} bytes at ${at}`);
    }
    let piece = "";
    try {
      piece = decoder.decode(bytes.subarray(at, at + length));
    } catch {
      fail(`piece ${id} must be UTF-8`, "it is not");
    }
    at += length;
    const control = id === 1 || id === 2;
    pieces.push(control ? piece.trim() : piece); // "\n<s>\n" in the file
    scores.push(score);
    kinds.push(
      id === 0
        ? PIECE.unknown
        : control
        ? PIECE.control
        : id < FIRST_NORMAL && /^<0x[0-9A-F]{2}>$/.test(piece)
        ? PIECE.byte
        : PIECE.normal,
    );
  }
  if (pieces.length !== vocabSize) {
    fail(`it must hold the model's ${vocabSize} pieces`, pieces.length);
  }
  return {
    pieces,
    scores,
    kinds,
    space: " ",
    addSpacePrefix: true,
    literalControls: false,
    bosId: 1,
    eosId: 2,
    addBos: true,
    addEos: false,
  };
}
