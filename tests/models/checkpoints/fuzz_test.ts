/**
 * Damaged files: whatever is changed in a file, reading it ends in a result or in one clear error,
 * soon, and without reading or keeping more than the file accounts for.
 */

import { strict as assert } from "node:assert";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { fc } from "../../_deps.ts";
import { encodedByteLength } from "../../../graph/encodings.ts";
import { readAsFloat32 } from "../../../graph/tensor_source.ts";
import { type ByteSource, bytesSource } from "../../../models/checkpoints/byte_source.ts";
import { openGguf } from "../../../models/checkpoints/gguf.ts";
import { GgufStrings } from "../../../models/checkpoints/gguf_strings.ts";
import { openCheckpoint } from "../../../models/checkpoints/open.ts";
import { readAdapter, writeAdapter } from "../../../models/checkpoints/peft.ts";
import {
  Bytes,
  countingTensors,
  tinyCheckpoint,
  tinyConfig,
  tinyGguf,
  tinyLlama2c,
  writeGguf,
} from "../_files.ts";

const SEED = 20240502;
const RUNS = 1000;
/** One read of a file of a few KiB takes about 1 ms; far more means a loop that a file controls. */
const MAX_MS = 3000;

type Edit =
  | { readonly kind: "byte" | "word" | "long"; readonly at: number; readonly value: number }
  | { readonly kind: "cut" | "drop" | "double"; readonly at: number; readonly length: number };

/** Uniform; `fc.double` is uniform over bit patterns, so nearly all of its numbers are next to 0. */
const position = fc.integer({ min: 0, max: 999_999 }).map((at) => at / 1e6);
/** Headers come first in the binary formats, so most edits go there. */
const early = position.map((at) => at ** 4);
const interesting = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 8, 9, 255, 0x7fffffff, 0x80000000, 0xffffffff),
  fc.nat(0xffffffff),
);
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("byte" as const, "word" as const, "long" as const),
    at: fc.oneof(position, early),
    value: interesting,
  }),
  fc.record({
    kind: fc.constantFrom("cut" as const, "drop" as const, "double" as const),
    at: fc.oneof(position, early),
    length: fc.integer({ min: 1, max: 40 }),
  }),
);

function apply(bytes: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let out: Uint8Array = bytes.slice();
  for (const each of edits) {
    const at = Math.min(Math.floor(each.at * out.length), Math.max(0, out.length - 1));
    const pieces = new Bytes();
    switch (each.kind) {
      case "byte":
      case "word":
      case "long": {
        const size = { byte: 1, word: 4, long: 8 }[each.kind];
        const value = new Bytes().u32(each.value).u32(each.value === 0xffffffff ? each.value : 0);
        out.set(value.done().subarray(0, Math.min(size, out.length - at)), at);
        continue;
      }
      case "cut":
        pieces.raw(out.subarray(0, at));
        break;
      case "drop":
        pieces.raw(out.subarray(0, at)).raw(out.subarray(at + each.length));
        break;
      case "double":
        pieces.raw(out.subarray(0, at + each.length)).raw(out.subarray(at));
        break;
      default:
        each satisfies never;
    }
    out = pieces.done();
  }
  return out;
}

/** A source that counts what is read and never gives more than it has. */
function counted(name: string, bytes: Uint8Array): ByteSource & { total: number } {
  const inner = bytesSource(name, bytes);
  const source = {
    name,
    size: bytes.length,
    total: 0,
    read(offset: number, length: number, options?: Parameters<ByteSource["read"]>[2]) {
      source.total += length;
      return inner.read(offset, length, options);
    },
  };
  return source;
}

/** An error written by us: a known class and one sentence that says what and why. */
function assertClear(error: unknown): void {
  assert.ok(error instanceof Error, `${error}`);
  assert.match(error.message, /^Cannot [^\n]* (as|yet)[^\n]*$/, `${error.stack}`);
  assert.doesNotMatch(error.message, /Cannot (read|set) propert|call stack|undefined is not/);
}

/** Damages one of several files in many ways and reads them. */
async function fuzz(
  files: Readonly<Record<string, Uint8Array>>,
  target: string,
  read: (files: Record<string, ByteSource>) => Promise<void>,
  numRuns = RUNS,
): Promise<{ results: number; errors: number }> {
  const outcome = { results: 0, errors: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const damaged = { ...files, [target]: apply(files[target]!, edits) };
      const opened: Record<string, ReturnType<typeof counted>> = {};
      for (const [name, bytes] of Object.entries(damaged)) opened[name] = counted(name, bytes);
      const start = performance.now();
      try {
        await read(opened);
        outcome.results++;
      } catch (error) {
        assertClear(error);
        outcome.errors++;
      }
      assert.ok(performance.now() - start < MAX_MS, "it took too long");
      for (const { total, size } of Object.values(opened)) {
        assert.ok(total <= 2 * size, `${total} bytes were read of ${size}`);
      }
    }),
    { seed: SEED, numRuns },
  );
  return outcome;
}

async function useCheckpoint(files: Record<string, ByteSource>): Promise<void> {
  const { tensors, config } = await openCheckpoint(files);
  for (const [name, source] of tensors) {
    const values = await readAsFloat32(source);
    assert.equal(values.length, source.shape.reduce((a, b) => a * b, 1), name);
  }
  assert.ok(config.layers > 0);
}

async function useText(files: Record<string, ByteSource>): Promise<void> {
  const { text } = await openCheckpoint(files);
  const codec = await text();
  const ids = codec.encodePrompt("ab a1", "none");
  assert.equal(typeof codec.decode(ids), "string");
}

async function useChat(files: Record<string, ByteSource>): Promise<void> {
  const { text } = await openCheckpoint(files);
  const codec = await text();
  const ids = codec.encodePrompt("ab a1", "chat");
  assert.equal(typeof codec.decode(ids), "string");
}

function tok12(): Uint8Array {
  const out = new Bytes().u32(9);
  for (const piece of ["<unk>", "\n<s>\n", "\n</s>\n", ..." abcdefgh"]) {
    const bytes = new TextEncoder().encode(piece);
    out.f32(-1).u32(bytes.length).raw(bytes);
  }
  return out.done();
}

const tokenizerJson = {
  added_tokens: [{ id: 0, content: "<e>", special: true, normalized: false }],
  normalizer: { type: "NFC" },
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      { type: "Digits", individual_digits: true },
      { type: "ByteLevel", add_prefix_space: false, use_regex: true },
    ],
  },
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<e>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<e>": { id: "<e>", ids: [0], tokens: ["<e>"] } },
  },
  decoder: { type: "ByteLevel" },
  model: {
    type: "BPE",
    vocab: { "<e>": 0, a: 1, b: 2, ab: 3, "Ġ": 4, "1": 5 },
    merges: [["a", "b"]],
  },
};

const gguf = { "m.gguf": tinyGguf() };
const folder = tinyCheckpoint();
const llama2c = { "m.bin": tinyLlama2c(), "tok.bin": tok12() };
const utf8 = new TextEncoder();
const withText = {
  ...folder,
  "tokenizer.json": utf8.encode(JSON.stringify(tokenizerJson)),
  "tokenizer_config.json": utf8.encode(
    JSON.stringify({ bos_token: "<e>", eos_token: { content: "<e>" }, chat_template: "x<e>" }),
  ),
  "generation_config.json": utf8.encode(JSON.stringify({ eos_token_id: [0, 1], bos_token_id: 0 })),
  "chat_template.jinja": utf8.encode(
    "{% for m in messages %}{% if m['role'] == 'user' and loop.index < 99 %}a{{ m.content | trim }}" +
      "{% elif 'b' in m.content[1:] %}{% set n = namespace(a=range(3)) %}{{ n.a | tojson }}" +
      "{% else %}{{ 'b' ~ m.content.split(' ')[0] }}{% endif %}<e>{% endfor %}",
  ),
};

const { "model.safetensors": shard, ...unsharded } = folder;
const sharded = {
  ...unsharded,
  "part.safetensors": shard!,
  "model.safetensors.index.json": utf8.encode(JSON.stringify({
    weight_map: Object.fromEntries(
      [...countingTensors(tinyConfig).keys()].map((name) => [name, "part.safetensors"]),
    ),
  })),
};

const cases: readonly (readonly [
  string,
  Readonly<Record<string, Uint8Array>>,
  string,
  (files: Record<string, ByteSource>) => Promise<void>,
])[] = [
  ["a GGUF file's tensors", gguf, "m.gguf", useCheckpoint],
  ["a GGUF file's tokenizer", gguf, "m.gguf", useText],
  ["safetensors", folder, "model.safetensors", useCheckpoint],
  ["config.json", folder, "config.json", useCheckpoint],
  ["a llama2.c checkpoint", llama2c, "m.bin", useCheckpoint],
  ["a llama2.c tokenizer", llama2c, "tok.bin", useText],
  ["tokenizer.json", withText, "tokenizer.json", useText],
  ["tokenizer_config.json", withText, "tokenizer_config.json", useText],
  ["generation_config.json", withText, "generation_config.json", useCheckpoint],
  ["chat_template.jinja", withText, "chat_template.jinja", useChat],
  ["model.safetensors.index.json", sharded, "model.safetensors.index.json", useCheckpoint],
];

/** Read by the same code as files that are damaged more often. */
const LIGHT = new Set([
  "generation_config.json",
  "chat_template.jinja",
  "model.safetensors.index.json",
]);

for (const [what, files, target, read] of cases) {
  Deno.test(`openCheckpoint() ends in a result or a clear error when ${what} is damaged`, async () => {
    const light = LIGHT.has(target);
    const runs = light ? RUNS / 5 : RUNS;
    const { errors } = await fuzz(files, target, read, runs);
    assert.ok(errors > runs / (light ? 20 : 10), `only ${errors} of ${runs} were refused`);
  });
}

for (const target of ["adapter_config.json", "adapter_model.safetensors"]) {
  Deno.test(`readAdapter() ends in a result or a clear error when ${target} is damaged`, async () => {
    const layer = "model.layers.0.mlp.up_proj";
    const files = writeAdapter(
      new Map([
        [`${layer}.lora_A.weight`, { shape: [2, 3], data: new Float32Array(6) }],
        [`${layer}.lora_B.weight`, { shape: [5, 2], data: new Float32Array(10) }],
      ]),
      { rank: 2, alpha: 4 },
    );
    await fuzz({ ...files }, target, async (opened) => {
      const { tensors } = await readAdapter(opened);
      for (const source of tensors.values()) await readAsFloat32(source);
    });
  });
}

Deno.test("openGguf() ends in a result or a clear error when a file of every type is damaged", async () => {
  const types = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    6: "q5_0",
    7: "q5_1",
    8: "q8_0",
  } as const;
  const kTypes = { 10: "q2_k", 11: "q3_k", 12: "q4_k", 13: "q5_k", 14: "q6_k" } as const;
  const all = { ...types, ...kTypes, 20: "iq4_nl", 30: "bf16" } as const;
  const tensors = Object.fromEntries(
    Object.entries(all).map(([type, encoding]) => {
      const bytes = new Uint8Array(encodedByteLength(encoding, 512)).map((_, i) => 7 * i);
      return [encoding, { shape: [2, 256], type: Number(type), bytes }];
    }),
  );
  const files = { "m.gguf": writeGguf({}, tensors) };
  const { results, errors } = await fuzz(files, "m.gguf", async (opened) => {
    const { tensors } = await openGguf(opened["m.gguf"]!);
    for (const source of tensors.values()) await readAsFloat32(source);
  }, RUNS / 5);
  assert.ok(results > RUNS / 50 && errors > RUNS / 50, `${results} results, ${errors} errors`);
});

Deno.test("openGguf() refuses lying counts before it uses them", async () => {
  const HUGE = 2 ** 52;
  const start = (tensors: number, keys: number) =>
    new Bytes().raw(utf8.encode("GGUF")).u32(3).u64(tensors).u64(keys);
  const list = (type: number, count: number) => start(0, 1).string("k").u32(9).u32(type).u64(count);
  const tensor = (rank: number, sizes: readonly number[], type: number, offset: number) => {
    const out = start(1, 0).string("w").u32(rank);
    for (const size of sizes) out.u64(size);
    return out.u32(type).u64(offset);
  };
  const files: readonly (readonly [Bytes, RegExp])[] = [
    [start(HUGE, 0), /the number of tensors must be at most/],
    [start(0, HUGE), /the number of metadata keys must be at most/],
    [start(0, 65_536), /the number of metadata keys must be at most 0 .is it cut short\?.: 65536$/],
    [start(0, 1).u64(HUGE).pad(64), /the length of a metadata key must be at most/],
    [list(8, HUGE), /the number of elements of k must be at most/],
    [
      list(8, 1 << 20).pad(4096),
      /the number of elements of k must be at most \d{3} .is it cut short\?.: 1048576$/,
    ],
    [list(0, 1 << 30).pad(4096), /the number of elements of k must be at most/],
    [list(9, 1).pad(4096), /k must be a list of numbers or strings: a list of lists$/],
    [list(77, 1).pad(4096), /the element type of k must be one of GGUF's/],
    [tensor(9, [], 0, 0), /the rank of w must be at most 4: 9$/],
    [tensor(4, [HUGE, HUGE, HUGE, HUGE], 0, 0), /w must lie within its \d+ bytes/],
    [tensor(1, [33], 2, 0), /rows of w must be whole q4_0 blocks of 32: 33$/],
    [tensor(1, [4], 0, 7), /the offset of w must be a multiple of 32: 7$/],
    [tensor(1, [4], 0, 32), /w must lie within its \d+ bytes/],
    [tensor(1, [128], 12, 0), /rows of w must be whole q4_k blocks of 256: 128$/],
    [tensor(2, [256, 2], 14, 0).pad(32).pad(512), /w must lie within its 512 bytes .*: 420 bytes/],
    [tensor(1, [256], 23, 0), /the type of w must be one of F32, .*, Q6_K, .*: IQ4_XS$/],
  ];
  for (const [bytes, message] of files) {
    const file = counted("m.gguf", bytes.done());
    await assert.rejects(openGguf(file), (error: Error) => {
      assertClear(error);
      assert.match(error.message, message);
      return true;
    });
    assert.ok(file.total <= 2 * file.size);
  }
});

Deno.test("openGguf() takes no more memory than twice the file when it is all short strings", async () => {
  const count = 400_000;
  const out = new Bytes().raw(utf8.encode("GGUF")).u32(3).u64(0).u64(1);
  out.string("k").u32(9).u32(8).u64(count);
  const strings = new Uint8Array(count * 10);
  for (let i = 0; i < count; i++) strings.set([2, 0, 0, 0, 0, 0, 0, 0, 97 + i % 26, 97], i * 10);
  const file = bytesSource("m.gguf", out.raw(strings).done());
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const used = () => {
    collect();
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  const { metadata } = await openGguf(file);
  const kept = used() - before;
  const list = metadata.get("k");
  assert.ok(list instanceof GgufStrings);
  assert.deepEqual([list.length, list.at(0), list.at(27), list.at(count - 1)], [
    count,
    "aa",
    "ba",
    "pa",
  ]);
  assert.ok(kept <= 2 * file.size, `${kept / file.size} times the file's size`);
});
