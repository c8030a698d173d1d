/**
 * Trains a byte-level BPE (Sennrich et al. 2016, arXiv:1508.07909; bytes as in GPT-2) on a few
 * megabytes of text and writes it as a `tokenizer.json`.
 *
 * @module
 */

/** GPT-2's pre-tokenizer, which Hugging Face's `ByteLevel` applies by itself. */
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** GPT-2's printable stand-in for each byte. */
function byteSymbols(): string[] {
  const symbols: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    symbols.push(String.fromCodePoint(printable ? byte : next++));
  }
  return symbols;
}

/** Special tokens, first in the vocabulary. */
export interface TrainTokenizerOptions {
  readonly vocabSize: number;
  readonly specialTokens: readonly string[];
}

/**
 * A tokenizer of `vocabSize` tokens: the special ones, the 256 bytes, then merges by falling count
 * (the first pair in order on ties).
 *
 * @returns The object of a `tokenizer.json`.
 */
export function trainTokenizer(texts: Iterable<string>, options: TrainTokenizerOptions): object {
  const { vocabSize, specialTokens } = options;
  const symbols = byteSymbols();
  const encoder = new TextEncoder();
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORD)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].map(([word, count]) => ({
    parts: [...encoder.encode(word)].map((byte) => symbols[byte]!),
    count,
  }));

  const vocabulary = [...specialTokens, ...symbols];
  const merges: [string, string][] = [];
  while (vocabulary.length < vocabSize) {
    const pairs = new Map<string, number>();
    for (const { parts, count } of words) {
      for (let i = 1; i < parts.length; i++) {
        const pair = `${parts[i - 1]} ${parts[i]}`;
        pairs.set(pair, (pairs.get(pair) ?? 0) + count);
      }
    }
    let best = "";
    let most = 1;
    for (const [pair, count] of pairs) {
      if (count > most || (count === most && best !== "" && pair < best)) {
        best = pair;
        most = count;
      }
    }
    if (best === "") break; // nothing occurs twice any more
    const [left, right] = best.split(" ") as [string, string];
    merges.push([left, right]);
    vocabulary.push(left + right);
    for (const { parts } of words) {
      for (let i = parts.length - 1; i > 0; i--) {
        if (parts[i - 1] === left && parts[i] === right) parts.splice(i - 1, 2, left + right);
      }
    }
  }
  return tokenizerJson(vocabulary, merges, specialTokens);
}

function tokenizerJson(
  vocabulary: readonly string[],
  merges: readonly [string, string][],
  specialTokens: readonly string[],
): object {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: true,
  };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  };
}
