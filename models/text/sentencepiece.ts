/**
 * SentencePiece's byte-pair model: pieces with scores, merged best score first.
 *
 * Source: `llm_tokenizer_spm` in llama.cpp's `src/llama-vocab.cpp`, and `encode` in llama2.c's
 * `run.c`; the two agree.
 *
 * @module
 */

import { checkIds, type Tokenizer } from "./tokenizer.ts";

/** What a piece is, by SentencePiece's and GGUF's numbers. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 };

/** A vocabulary and its rules. */
export interface SentencePieceModel {
  readonly pieces: readonly string[];
  readonly scores: ArrayLike<number>;
  /** One of {@linkcode PIECE} for each piece. */
  readonly kinds: ArrayLike<number>;
  /** Character that stands for a space within pieces. */
  readonly space: string;
  /** Put a space before a text and after a special token. */
  readonly addSpacePrefix: boolean;
  /** Whether literal strings of control pieces in a text become those pieces. */
  readonly literalControls: boolean;
  readonly bosId?: number | undefined;
  readonly eosId?: number | undefined;
  readonly addBos: boolean;
  readonly addEos: boolean;
}

/**
 * A tokenizer from a SentencePiece vocabulary. Characters that no piece covers become their UTF-8
 * bytes' pieces (`<0x41>`), or the unknown piece where there are none.
 */
export function sentencePieceTokenizer(model: SentencePieceModel): Tokenizer {
  const { pieces, scores, kinds, space, bosId, eosId } = model;
  const mergeable = new Map<string, number>();
  const bytes = new Map<number, number>(); // byte value → id
  const byteValues = new Map<number, number>();
  const literals: { readonly text: string; readonly id: number }[] = [];
  let unknownId: number | undefined;
  pieces.forEach((piece, id) => {
    const kind = kinds[id];
    if (kind === PIECE.byte) {
      const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece);
      if (match) {
        bytes.set(parseInt(match[1]!, 16), id);
        byteValues.set(id, parseInt(match[1]!, 16));
      }
    } else if (kind === PIECE.unknown) unknownId ??= id;
    else if (kind === PIECE.control || kind === PIECE.userDefined) {
      const control = kind === PIECE.control;
      if (piece !== "" && (!control || model.literalControls)) {
        literals.push({ text: piece, id });
      }
    } else if (piece !== "") mergeable.set(piece, id);
  });
  literals.sort((a, b) => b.text.length - a.text.length);
  const encoder = new TextEncoder();
  const isSpecial = (id: number) => kinds[id] === PIECE.control || kinds[id] === PIECE.unknown;

  const encodeText = (text: string, out: number[]): void => {
    for (const symbol of mergePieces(text, mergeable, scores)) {
      const id = mergeable.get(symbol);
      if (id !== undefined) {
        out.push(id);
        continue;
      }
      const codes = encoder.encode(symbol);
      if (codes.every((code) => bytes.has(code))) {
        for (const code of codes) out.push(bytes.get(code)!);
      } else if (unknownId !== undefined) out.push(unknownId);
      else {
        throw new RangeError(
          `Cannot encode the text as each character must be in the vocabulary: ${
            JSON.stringify(symbol)
          }`,
        );
      }
    }
  };

  return {
    vocabSize: pieces.length,
    ...(bosId === undefined ? {} : { bosId }),
    ...(eosId === undefined ? {} : { eosId }),
    encode(text, { addSpecialTokens = false } = {}) {
      const out: number[] = [];
      if (addSpecialTokens && model.addBos && bosId !== undefined) out.push(bosId);
      let afterSpecial = true;
      for (const part of splitLiterals(text, literals)) {
        if (typeof part === "number") {
          out.push(part);
          afterSpecial = true;
        } else {
          const prefix = model.addSpacePrefix && afterSpecial ? " " : "";
          encodeText((prefix + part).replaceAll(" ", space), out);
          afterSpecial = false;
        }
      }
      if (addSpecialTokens && model.addEos && eosId !== undefined) out.push(eosId);
      return out;
    },
    decode(tokens, { skipSpecialTokens = false } = {}) {
      checkIds(tokens);
      const out: number[] = [];
      let first = true;
      for (const id of tokens) {
        const piece = pieces[id];
        if (piece === undefined) continue;
        if (isSpecial(id)) {
          if (!skipSpecialTokens) out.push(...encoder.encode(piece));
          continue;
        }
        const byte = byteValues.get(id);
        let text = byte === undefined ? piece.replaceAll(space, " ") : "";
        if (first && model.addSpacePrefix && text.startsWith(" ")) text = text.slice(1);
        first = false;
        if (byte === undefined) out.push(...encoder.encode(text));
        else out.push(byte);
      }
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(out));
    },
  };
}

/** Cuts a text at literal strings: at the leftmost place the longest one. Ids stand for them. */
function splitLiterals(
  text: string,
  literals: readonly { readonly text: string; readonly id: number }[],
): (string | number)[] {
  if (literals.length === 0) return text === "" ? [] : [text];
  const byText = new Map(literals.map((literal) => [literal.text, literal.id]));
  const escaped = literals.map((literal) => literal.text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  const parts: (string | number)[] = [];
  let end = 0;
  for (const match of text.matchAll(new RegExp(escaped.join("|"), "gu"))) {
    if (match.index > end) parts.push(text.slice(end, match.index));
    parts.push(byText.get(match[0])!);
    end = match.index + match[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

interface Candidate {
  readonly score: number;
  readonly left: number;
  readonly right: number;
  /** Length of both symbols together when the candidate was made; another length: out of date. */
  readonly length: number;
}

/**
 * Merges characters into pieces: always the neighbours whose union has the highest score, the
 * leftmost of equals. O(n log n).
 */
function mergePieces(
  text: string,
  mergeable: ReadonlyMap<string, number>,
  scores: ArrayLike<number>,
): string[] {
  const symbols: string[] = Array.from(text);
  const previous = symbols.map((_, i) => i - 1);
  const next = symbols.map((_, i) => i + 1 < symbols.length ? i + 1 : -1);
  const heap: Candidate[] = [];
  const before = (a: Candidate, b: Candidate) =>
    a.score > b.score || (a.score === b.score && a.left < b.left);
  const offer = (left: number, right: number): void => {
    if (left < 0 || right < 0) return;
    const union = symbols[left]! + symbols[right]!;
    const id = mergeable.get(union);
    if (id === undefined) return;
    const score = scores[id]!;
    let at = heap.push({ score, left, right, length: union.length }) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(heap[at]!, heap[parent]!)) break;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  };
  const pop = (): Candidate => {
    const best = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      for (let at = 0;;) {
        const child = 2 * at + 1;
        if (child >= heap.length) break;
        const pick = child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)
          ? child + 1
          : child;
        if (!before(heap[pick]!, heap[at]!)) break;
        [heap[at], heap[pick]] = [heap[pick]!, heap[at]!];
        at = pick;
      }
    }
    return best;
  };
  for (let i = 0; i + 1 < symbols.length; i++) offer(i, i + 1);
  while (heap.length > 0) {
    const { left, right, length } = pop();
    const [a, b] = [symbols[left]!, symbols[right]!];
    if (a === "" || b === "" || next[left] !== right || a.length + b.length !== length) continue;
    symbols[left] = a + b;
    symbols[right] = "";
    next[left] = next[right]!;
    if (next[left]! >= 0) previous[next[left]!] = left;
    offer(previous[left]!, left);
    offer(left, next[left]!);
  }
  return symbols.filter((symbol) => symbol !== "");
}
