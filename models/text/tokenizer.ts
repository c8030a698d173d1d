/**
 * Text to token ids and back.
 *
 * @module
 */

/** Options of {@linkcode Tokenizer.encode}. */
export interface EncodeOptions {
  /**
   * Add what the checkpoint's tokenizer adds around a text (often a BOS token before it).
   * `false` by default.
   */
  readonly addSpecialTokens?: boolean;
}

/** Options of {@linkcode Tokenizer.decode}. */
export interface DecodeOptions {
  /** Leave special tokens out of the text. `false` by default. */
  readonly skipSpecialTokens?: boolean;
}

/**
 * A checkpoint's tokenizer.
 *
 * Law: `decode(encode(text))` is `text` for every well-formed Unicode text, where the tokenizer
 * neither normalises nor drops characters.
 */
export interface Tokenizer {
  /** Ids run from 0 to `vocabSize` − 1. A model's own vocabulary may be padded beyond that. */
  readonly vocabSize: number;
  /** Token that opens a text, where there is one. Whether `encode` adds it is another matter. */
  readonly bosId?: number;
  /** Token that ends a text, where there is one. */
  readonly eosId?: number;
  /** Ids of a text. Literal strings of special tokens become those tokens. */
  encode(text: string, options?: EncodeOptions): number[];
  /** Ids that are no token (a padded vocabulary's) give no text. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
}

/** Decodes tokens as they come. */
export interface StreamDecoder {
  /** The text that is certain after this token; a character in parts comes with its last part. */
  push(id: number): string;
  /** What is left, with U+FFFD for a character that never became whole. */
  flush(): string;
}

/** Tokens of decided text kept before the undecided ones, so that decoders see what they follow. */
const CONTEXT_TOKENS = 4;

/**
 * A decoder for one stream of tokens.
 *
 * A decoder shows an incomplete UTF-8 sequence as one U+FFFD at the end, so that character is held
 * back until it is whole or known not to become so.
 *
 * Law: the pieces, joined, are `tokenizer.decode` of all tokens.
 */
export function streamDecoder(
  tokenizer: Tokenizer,
  options: DecodeOptions = {},
): StreamDecoder {
  let window: number[] = [];
  let given = 0; // how much of the window's text was given out
  const advance = (last: boolean): string => {
    const text = tokenizer.decode(window, options);
    const open = !last && text.endsWith("\ufffd");
    const end = open ? text.length - 1 : text.length;
    const piece = text.slice(given, end);
    given = end;
    if (!open && window.length > 2 * CONTEXT_TOKENS) {
      const context = window.slice(-CONTEXT_TOKENS);
      const contextText = tokenizer.decode(context, options);
      if (contextText !== "") { // all special: a decoder might take the next for the first
        window = context;
        given = contextText.length;
      }
    }
    return piece;
  };
  return {
    push(id) {
      window.push(id);
      return advance(false);
    },
    flush: () => advance(true),
  };
}

/**
 * Checks ids that are to be decoded.
 *
 * @throws {RangeError} If an id is not a whole number from 0 on.
 */
export function checkIds(ids: readonly number[]): void {
  for (const id of ids) {
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new RangeError(`Cannot decode tokens as ids must be whole numbers from 0 on: ${id}`);
    }
  }
}
