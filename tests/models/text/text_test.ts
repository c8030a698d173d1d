import { strict as assert } from "node:assert";
import { fc } from "../../_deps.ts";
import { openCheckpoint } from "../../../models/checkpoints/open.ts";
import { bytesSource } from "../../../models/checkpoints/byte_source.ts";
import { chatTemplateParser } from "../../../models/text/chat_template.ts";
import { huggingFaceTokenizer } from "../../../models/text/huggingface_tokenizer.ts";
import { llama2cTokenizer } from "../../../models/text/llama2c_tokenizer.ts";
import { PIECE, sentencePieceTokenizer } from "../../../models/text/sentencepiece.ts";
import { createTextCodec } from "../../../models/text/text_codec.ts";
import { streamDecoder, type Tokenizer } from "../../../models/text/tokenizer.ts";
import { Bytes, sources, tinyConfig, tinyGguf } from "../_files.ts";

const SEED = 20240501;

async function tinyTokenizer(overrides: Parameters<typeof tinyGguf>[0] = {}): Promise<Tokenizer> {
  const checkpoint = await openCheckpoint(sources({ "tiny.gguf": tinyGguf(overrides) }));
  return (await checkpoint.text()).tokenizer;
}

Deno.test("encode() merges by rank and takes digits one by one with the rule smollm", async () => {
  const tokenizer = await tinyTokenizer(); // Ġ is a space; "Ã" and "©" are the bytes of é
  assert.deepEqual(tokenizer.encode("ab a11é"), [5, 7, 8, 8, 9, 10]);
  assert.equal(tokenizer.decode([5, 7, 8, 8, 9, 10]), "ab a11é");
  assert.equal(tokenizer.vocabSize, 12);
});

Deno.test("encode() takes literal special tokens as such", async () => {
  const tokenizer = await tinyTokenizer();
  assert.deepEqual(tokenizer.encode("a<|stop|>b"), [3, 2, 4]);
  assert.equal(tokenizer.decode([3, 2, 4]), "a<|stop|>b");
  assert.equal(tokenizer.decode([3, 2, 4], { skipSpecialTokens: true }), "ab");
});

Deno.test("encode() adds BOS and EOS only where asked and the metadata says so", async () => {
  const plain = await tinyTokenizer();
  assert.deepEqual(plain.encode("a", { addSpecialTokens: true }), [3]);
  const both = await tinyTokenizer({
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_eos_token": true,
  });
  assert.deepEqual(both.encode("a", { addSpecialTokens: true }), [1, 3, 2]);
  assert.deepEqual(both.encode("a"), [3]);
});

Deno.test("ggufTokenizer() refuses a rule or a model it does not know", async () => {
  await assert.rejects(
    tinyTokenizer({ "tokenizer.ggml.pre": "falcon" }),
    /^RangeError: Cannot read tiny.gguf's metadata as tokenizer.ggml.pre must be one of .*smollm.*: falcon$/,
  );
  await assert.rejects(
    tinyTokenizer({ "tokenizer.ggml.model": "bert" }),
    /tokenizer.ggml.model must be gpt2 or llama: bert$/,
  );
  await assert.rejects(
    tinyTokenizer({ "tokenizer.ggml.token_type": Int32Array.of(3, 3) }),
    /token_type must have one entry for each of 12 tokens: 2$/,
  );
  await assert.rejects(tinyTokenizer({ "tokenizer.ggml.merges": ["ab"] }), /a merge must be two/);
});

Deno.test("huggingFaceTokenizer() follows Unicode where ECMAScript's classes differ", async () => {
  const bytes = Array.from({ length: 256 }, (_, byte) => byteCharacter(byte));
  const vocab = Object.fromEntries(bytes.map((character, id) => [character, id]));
  const tokenizer = await huggingFaceTokenizer({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Digits", individual_digits: true },
        { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      ],
    },
    decoder: { type: "ByteLevel" },
    // "½½" may not merge, as each is a number; U+FEFF is no white space, so it joins its neighbour.
    model: {
      type: "BPE",
      vocab: { ...vocab, "½½": 256, "»¿!": 257, "»¿": 258 },
      merges: [["½", "½"], ["»", "¿"], ["»¿", "!"]],
    },
  });
  assert.deepEqual(tokenizer.encode("½½"), [0xc2, 0xbd, 0xc2, 0xbd]);
  assert.deepEqual(tokenizer.encode("\ufeff!"), [0xef, 257]);
});

/** GPT-2's printable character for a byte. */
function byteCharacter(byte: number): string {
  const printable = (b: number) =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  if (printable(byte)) return String.fromCharCode(byte);
  let n = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) n++;
  return String.fromCharCode(256 + n);
}

Deno.test("huggingFaceTokenizer() refuses what is no tokenizer", async () => {
  const cases: readonly (readonly [Record<string, unknown>, RegExp])[] = [
    [{}, /^SyntaxError: Cannot read tokenizer.json as it must have a model: there is none$/],
    [{ model: { type: "BPE" } }, /its model must have a vocabulary: there is none$/],
    [{ model: { type: "BPE", vocab: { a: 1e9 } } }, /ids of its vocabulary must be whole numbers/],
    [{ model: { type: "BPE", vocab: {}, merges: [1] } }, /its merges must be pairs of pieces/],
    [{ model: { type: "Markov", vocab: 3 } }, /must have a vocabulary/],
    [{ added_tokens: [{}], model: {} }, /added_tokens must be a list of tokens/],
    [
      { pre_tokenizer: { type: "Spell" }, model: { type: "BPE", vocab: {}, merges: [] } },
      /must describe a tokenizer: Unknown PreTokenizer type: Spell$/,
    ],
  ];
  for (const [json, message] of cases) await assert.rejects(huggingFaceTokenizer(json), message);
});

Deno.test("decode() skips ids that are no token and refuses ones that cannot be", async () => {
  const tokenizer = await tinyTokenizer();
  assert.equal(tokenizer.decode([3, 1000, 4]), "ab");
  assert.equal(tokenizer.decode([]), "");
  assert.throws(() => tokenizer.decode([-1]), /^RangeError: Cannot decode tokens as ids must be/);
});

/** A SentencePiece vocabulary with all bytes and some pieces; equal scores where pieces tie. */
const pieceTexts = ["a", "b", " ", "ab", "ba", " a", "aba", "abab", "é", "éa"];
const pieceScores = [-5, -5, -6, -1, -1, -2, -3, -0.5, -7, -4];
const spm = {
  pieces: [
    "<unk>",
    "<s>",
    "</s>",
    ...Array.from(
      { length: 256 },
      (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`,
    ),
    ...pieceTexts,
  ],
  scores: [0, 0, 0, ...new Array(256).fill(0), ...pieceScores],
  kinds: [
    PIECE.unknown,
    PIECE.control,
    PIECE.control,
    ...new Array(256).fill(PIECE.byte),
    ...new Array(pieceTexts.length).fill(PIECE.normal),
  ],
  space: " ",
  addSpacePrefix: true,
  literalControls: true,
  bosId: 1,
  eosId: 2,
  addBos: true,
  addEos: false,
};

/** The merge loop of llama2.c's run.c, as it stands there: O(n²). */
function referenceEncode(text: string): number[] {
  const find = (piece: string) => {
    const at = pieceTexts.indexOf(piece);
    return at < 0 ? -1 : 259 + at;
  };
  const ids: number[] = text === "" ? [] : [find(" ")];
  for (const character of text) {
    const id = find(character);
    if (id >= 0) ids.push(id);
    else for (const byte of new TextEncoder().encode(character)) ids.push(byte + 3);
  }
  for (;;) {
    let [best, bestId, bestAt] = [-1e10, -1, -1];
    for (let i = 0; i + 1 < ids.length; i++) {
      const id = find(spm.pieces[ids[i]!]! + spm.pieces[ids[i + 1]!]!);
      if (id >= 0 && spm.scores[id]! > best) [best, bestId, bestAt] = [spm.scores[id]!, id, i];
    }
    if (bestAt < 0) return ids;
    ids.splice(bestAt, 2, bestId);
  }
}

Deno.test("sentencePieceTokenizer() merges as llama2.c's loop does for any text", () => {
  const tokenizer = sentencePieceTokenizer(spm);
  const unit = fc.constantFrom("a", "b", " ", "é", "c", "🙂");
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 30 }), (text) => {
      const ids = tokenizer.encode(text);
      assert.deepEqual(ids, referenceEncode(text));
      assert.equal(tokenizer.decode(ids), text);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

Deno.test("sentencePieceTokenizer() splits at control pieces' strings", () => {
  const tokenizer = sentencePieceTokenizer(spm);
  assert.deepEqual(tokenizer.encode("a</s>", { addSpecialTokens: true }), [1, 264, 2]);
  assert.equal(tokenizer.decode([1, 264, 2], { skipSpecialTokens: true }), "a");
  assert.equal(tokenizer.decode([1, 264, 2]), "<s>a</s>");
});

Deno.test("sentencePieceTokenizer() encodes a long text in time that grows with its length", () => {
  const tokenizer = sentencePieceTokenizer(spm);
  assert.equal(tokenizer.decode(tokenizer.encode("ab".repeat(100_000))).length, 200_000);
});

Deno.test("streamDecoder() gives the pieces of the whole text for any tokens", () => {
  const tokenizer = sentencePieceTokenizer(spm);
  const id = fc.oneof(
    fc.nat(spm.pieces.length - 1),
    fc.constantFrom(0xe4 + 3, 0xbd + 3, 0xa0 + 3, 0xf0 + 3, 0x9f + 3), // parts of characters
  );
  for (const skipSpecialTokens of [false, true]) {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 40 }), (ids) => {
        const stream = streamDecoder(tokenizer, { skipSpecialTokens });
        const pieces = ids.map((each) => stream.push(each));
        const text = pieces.join("") + stream.flush();
        assert.equal(text, tokenizer.decode(ids, { skipSpecialTokens }));
      }),
      { seed: SEED, numRuns: 2000 },
    );
  }
});

Deno.test("streamDecoder() holds a character back until it is whole", () => {
  const stream = streamDecoder(sentencePieceTokenizer(spm));
  const smile = [0xf0, 0x9f, 0x99, 0x82].map((byte) => byte + 3);
  assert.deepEqual([...smile, 259].map((id) => stream.push(id)), ["", "", "", "🙂", "a"]);
  assert.equal(stream.push(smile[0]!), "");
  assert.equal(stream.flush(), "\ufffd");
});

Deno.test("llama2cTokenizer() refuses a file that does not hold the model's pieces", async () => {
  const file = (pieces: readonly string[]) => {
    const out = new Bytes().u32(9);
    for (const piece of pieces) {
      const bytes = new TextEncoder().encode(piece);
      out.f32(-1).u32(bytes.length).raw(bytes);
    }
    return out.done();
  };
  const pieces = ["<unk>", "\n<s>\n", "\n</s>\n", "a"];
  const open = (bytes: Uint8Array, size = 4) =>
    llama2cTokenizer(bytesSource("tok.bin", bytes), size);
  const tokenizer = await open(file(pieces));
  assert.equal(tokenizer.eosId, 2);
  await assert.rejects(open(file(pieces), 3), /must hold the model's 3 pieces: it holds more$/);
  await assert.rejects(open(file(pieces), 5), /must hold the model's 5 pieces: /);
  await assert.rejects(open(file(pieces).slice(0, -1)), /piece 3 must lie within its \d+ bytes/);
});

const parseTemplate = await chatTemplateParser();

Deno.test("render() reports what the template raises", () => {
  const template = parseTemplate("{{ raise_exception('no system role') }}");
  assert.throws(
    () => template.render([{ role: "system", content: "" }], { addGenerationPrompt: true }),
    /^RangeError: Cannot render the chat template as it must accept the roles system: no system role$/,
  );
  assert.throws(
    () => parseTemplate("{% if %}"),
    /^SyntaxError: Cannot parse the chat template as it must be valid Jinja: /,
  );
  assert.throws(
    () => parseTemplate(" ".repeat(200_000)),
    /^SyntaxError: .* it has more than 200 characters of white space in a row$/,
  );
  assert.throws(
    () => parseTemplate("x".repeat(300_000)),
    /^SyntaxError: Cannot parse the chat template as it must have at most 262144 characters: 300000$/,
  );
});

Deno.test("render() ends soon and small whatever the template says", () => {
  const nested = (open: string, count: number) =>
    `{% set a = ["ab"] %}${`{% set a = ${open} %}`.repeat(count)}`;
  const nothing = "{% set n = namespace(a='') %}";
  const loop = (body: string, count = 10_000) =>
    `{% for i in range(${count}) %}${body}{% endfor %}`;
  const cases: readonly (readonly [string, RegExp])[] = [
    [loop("x", 2_000_000), /a range has more than 10000 numbers$/],
    [loop("x", 1e12), /a range has more than 10000 numbers$/],
    ["{{ range(0, 1, 0) }}", /the step of a range is 0$/],
    ["{{ range('a') }}", /a range has more than/],
    [loop(loop("{{ i }}")), /it takes (more than 1000000 steps|longer than 5 s)$/],
    [`${nothing}${loop("{% set n.a = n.a ~ n.a ~ 'ab' %}")}`, /it makes a value of more than/],
    [`${nothing}${loop("{% set n.a = ('ab' ~ i) ~ n.a %}")}`, /it makes more than 67108864/],
    [`${nested("[a, a]", 25)}{{ a | tojson }}`, /it makes a value of more than/],
    [`${nested("a + a", 25)}{{ 'b' in a }}`, /it makes a value of more than/],
    [nested("[a]", 40), /it nests lists more than 32 deep$/],
    ["{% set n = namespace() %}{% set n.a = n %}{{ n | tojson }}", /a namespace into another/],
    ["{{ [namespace()] | tojson }}", /a namespace into another value$/],
    ["{{ 'ab\nc' | indent(1000000000) }}", /it indents by more than 64$/],
    ["{{ [1] | tojson(indent=1000000) }}", /it indents by more than 64$/],
    [`{{ [1, 2] | join('${"x".repeat(65)}') }}`, /it inserts a text of more than 64 characters/],
    [`{{ 'aa'.replace('', '${"x".repeat(65)}') }}`, /it inserts a text of more than 64 characters/],
    [`{{ 'aa'.replace(*['a', '${"x".repeat(65)}']) }}`, /it inserts a text of more than 64/],
    ["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /it nests more than 400 deep$/],
  ];
  for (const [source, message] of cases) {
    const start = performance.now();
    assert.throws(() => {
      const template = parseTemplate(source);
      template.render([{ role: "user", content: "a" }], { addGenerationPrompt: true });
    }, (error: Error) => {
      assert.match(
        error.message,
        /^Cannot render the chat template as it must accept the roles user: /,
      );
      assert.match(error.message, message, source.slice(0, 100));
      return true;
    });
    assert.ok(performance.now() - start < 10_000, source.slice(0, 100));
  }
});

Deno.test("render() takes long conversations", () => {
  const template = parseTemplate(
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}<{{ m['role'] }}>\n" +
      "{{ m.content | trim }}{% if m.content.split('x')[0] == messages[0].content[1:] %}!{% endif %}" +
      "{{ strftime_now('%%') }}{% endfor %}",
  );
  const content = "a".repeat(3000);
  const messages = Array.from({ length: 1001 }, () => ({ role: "user" as const, content }));
  const text = template.render(messages, { addGenerationPrompt: true });
  assert.equal(text, `<user>\n${content}%`.repeat(1001));
});

Deno.test("createTextCodec() finds fault with a broken template only in a chat", async () => {
  const tokenizer = await tinyTokenizer();
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{% if %}", /^SyntaxError: Cannot parse the chat template/],
    ["{{ raise_exception('no') }}", /^RangeError: Cannot render the chat template .*: no$/],
    ["{% for i in range(100000) %}{% endfor %}", /^RangeError: .* a range has more than 10000/],
  ];
  for (const [template, message] of cases) {
    const codec = await createTextCodec(tokenizer, { template });
    assert.deepEqual(codec.encodePrompt("ab", "none"), [5]);
    assert.deepEqual(codec.encodeResponse("a", "none"), [3]);
    assert.deepEqual([codec.eosIds, codec.endOfTurnIds], [[2], [2]]);
    assert.throws(() => codec.encodePrompt("ab", "chat"), message);
    assert.throws(() => codec.encodeResponse("a", "chat"), message);
  }
});

Deno.test("createTextCodec() takes the end-of-turn token from the template", async () => {
  const tokenizer = await tinyTokenizer(); // EOS is <|stop|> = 2
  const template = (end: string) => `{% for m in messages %}{{ m.content }}${end}{% endfor %}`;
  const ends = async (end: string, eosTokenIds: number[] = []) =>
    (await createTextCodec(tokenizer, { template: template(end), eosTokenIds })).endOfTurnIds;
  assert.deepEqual(await ends("<|stop|>"), [2]);
  assert.deepEqual(await ends("<|end|>"), [0, 2]);
  assert.deepEqual(await ends("<|start|><|end|>", [0]), [0, 2]);
  assert.deepEqual(await ends("a"), [2]);
});

Deno.test("encodePrompt() and encodeResponse() meet where the assistant's turn opens", async () => {
  const checkpoint = await openCheckpoint(sources({ "tiny.gguf": tinyGguf() }));
  const codec = await checkpoint.text();
  assert.deepEqual(codec.encodePrompt("ab", "chat"), [1, 5, 2, 11, 1]); // 11 is "\n"
  assert.deepEqual(codec.encodeResponse("a", "chat"), [3, 2]);
  assert.deepEqual(codec.encodePrompt("ab", "none"), [5]);
  assert.deepEqual(codec.encodeResponse("a", "none"), [3]);
  assert.equal(codec.decode([3, 2]), "a");
  assert.throws(
    () => codec.encodePrompt([{ role: "user", content: "a" }], "none"),
    /^TypeError: Cannot encode a conversation as it must have a chat template applied/,
  );
});

Deno.test("encodePrompt() adds BOS to raw text once", async () => {
  const tokenizer = await tinyTokenizer({ "tokenizer.ggml.add_bos_token": true });
  const codec = await createTextCodec(tokenizer);
  assert.deepEqual(codec.encodePrompt("a", "none"), [1, 3]);
  assert.deepEqual(codec.encodePrompt("<|start|>a", "none"), [1, 3]);
  assert.throws(
    () => codec.encodePrompt("a", "chat"),
    /^TypeError: Cannot encode for chat as the checkpoint must have a chat template .*: it has none$/,
  );
});

Deno.test("text() of a folder finds its tokenizer and template", async () => {
  const utf8 = new TextEncoder();
  const { writeCheckpoint } = await import("../../../models/checkpoints/write.ts");
  const { countingTensors } = await import("../_files.ts");
  const tokenizer = {
    added_tokens: [{ id: 2, content: "<e>", special: true }],
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab: { a: 0, b: 1, "<e>": 2 }, merges: [] },
  };
  const tokenizerConfig = {
    eos_token: { content: "<e>" },
    chat_template: [{ name: "default", template: "{{ messages[0].content }}<e>" }],
  };
  const files = writeCheckpoint(tinyConfig, countingTensors(tinyConfig), {
    extraFiles: {
      "tokenizer.json": utf8.encode(JSON.stringify(tokenizer)),
      "tokenizer_config.json": utf8.encode(JSON.stringify(tokenizerConfig)),
    },
  });
  const codec = await (await openCheckpoint(sources(files))).text();
  assert.deepEqual(codec.encodePrompt("ab", "chat"), [0, 1, 2]);
  assert.deepEqual(codec.endOfTurnIds, [2]);
  const jinja = { "chat_template.jinja": utf8.encode("b{{ messages[0].content }}") };
  const other = await (await openCheckpoint(sources({ ...files, ...jinja }))).text();
  assert.deepEqual(other.encodePrompt("a", "chat"), [1, 0]);
  const { "tokenizer.json": _, ...lacking } = files;
  await assert.rejects((await openCheckpoint(sources(lacking))).text(), /tokenizer.json must be/);
});
