import { strict as assert } from "node:assert";
import { decode, encodedByteLength, encodeFloats, encodings } from "../../../graph/encodings.ts";
import { float16ToFloat32, float32ToFloat16 } from "../../../graph/float16.ts";
import { fromFloat32, readAsFloat32, type TensorSource } from "../../../graph/tensor_source.ts";

Deno.test("float32ToFloat16() inverts float16ToFloat32() for every bit pattern", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = float16ToFloat32(bits);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(float16ToFloat32(float32ToFloat16(value))));
    else assert.equal(float32ToFloat16(value), bits);
  }
});

Deno.test("float32ToFloat16() rounds to nearest, ties to even", () => {
  const cases: readonly (readonly [number, number])[] = [
    [1 + 2 ** -11, 0x3c00], // half way between 1 and 1 + 2⁻¹⁰: to the even 1
    [1 + 3 * 2 ** -11, 0x3c02], // half way up to the even 1 + 2⁻⁹
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -25, 0x0000], // half of the smallest: to the even 0
    [2 ** -25 * 1.01, 0x0001],
    [2 ** -14 - 2 ** -26, 0x0400], // the largest subnormal's upper neighbour is the smallest normal
    [-0, 0x8000],
  ];
  for (const [value, bits] of cases) assert.equal(float32ToFloat16(value), bits, `${value}`);
});

Deno.test("encodeFloats() to bf16 rounds to nearest, ties to even, and keeps NaN", () => {
  const values = Float32Array.of(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, NaN, Infinity);
  const out = new Float32Array(5);
  decode("bf16", encodeFloats("bf16", values), out);
  assert.deepEqual([...out], [1, 1, 1 + 2 ** -6, NaN, Infinity]);
});

Deno.test("decode() reads blocks worked by hand", () => {
  const half = (value: number) => [...encodeFloats("f16", Float32Array.of(value))];
  const nibbles = Array.from({ length: 16 }, (_, j) => j | ((15 - j) << 4));
  const out = new Float32Array(32);

  decode("q4_0", Uint8Array.from([...half(0.5), ...nibbles]), out);
  assert.deepEqual([out[0], out[1], out[15], out[16], out[31]], [-4, -3.5, 3.5, 3.5, -4]);

  decode("q4_1", Uint8Array.from([...half(0.5), ...half(-1), ...nibbles]), out);
  assert.deepEqual([out[0], out[1], out[15], out[16], out[31]], [-1, -0.5, 6.5, 6.5, -1]);

  const signed = Array.from({ length: 32 }, (_, j) => (j - 16) & 255);
  decode("q8_0", Uint8Array.from([...half(0.25), ...signed]), out);
  assert.deepEqual([out[0], out[15], out[16], out[31]], [-4, -0.25, 0, 3.75]);
});

Deno.test("decode() refuses bytes of another length", () => {
  assert.throws(
    () => decode("q8_0", new Uint8Array(33), new Float32Array(32)),
    /^RangeError: Cannot decode 32 q8_0 elements as they must come in 34 bytes: 33$/,
  );
  assert.throws(() => encodedByteLength("q4_0", 33), RangeError);
});

Deno.test("readAsFloat32() gives the same values over chunks as at once for every encoding", async () => {
  for (const encoding of Object.keys(encodings) as (keyof typeof encodings)[]) {
    const elements = 3_000_000 - 3_000_000 % 256; // several chunks, the last one short
    const bytes = new Uint8Array(encodedByteLength(encoding, elements));
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 24 & 0x3f;
    const expected = new Float32Array(elements);
    decode(encoding, bytes, expected);
    let largest = 0;
    const source: TensorSource = {
      name: "w",
      shape: [elements],
      encoding,
      byteLength: bytes.length,
      read(start, end) {
        largest = Math.max(largest, end - start);
        return Promise.resolve(bytes.slice(start, end));
      },
    };
    const actual = await readAsFloat32(source);
    assert.ok(actual.every((value, i) => Object.is(value, expected[i])), encoding);
    assert.ok(largest <= 4 << 20);
  }
});

Deno.test("fromFloat32() reads any byte range of its values", async () => {
  const source = fromFloat32("w", [3], Float32Array.of(1, 2, 3));
  const all = await source.read(0, 12);
  assert.deepEqual(await source.read(3, 9), all.slice(3, 9));
  assert.throws(() => source.read(0, 13), /^RangeError: Cannot read w as the byte range/);
});
