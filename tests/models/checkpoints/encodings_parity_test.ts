/** ggml's encodings against the `gguf` package; numbers and their script in tests/parity/. */

import { strict as assert } from "node:assert";
import { blockFormats, decode, type Encoding, encodings } from "../../../graph/encodings.ts";
import stored from "../../parity/data/gguf_blocks.json" with { type: "json" };

const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

for (const [name, { bytes, values }] of Object.entries(stored.encodings)) {
  Deno.test(`decode() of ${name} gives the bits of the gguf package`, () => {
    const expected = new Float32Array(bytesOf(values).buffer);
    const actual = new Float32Array(expected.length);
    decode(name as Encoding, bytesOf(bytes), actual);
    const wrong = actual.findIndex((value, i) => !Object.is(value, expected[i]!));
    assert.equal(wrong, -1, `element ${wrong}: ${actual[wrong]} for ${expected[wrong]}`);
    // The edges are among them.
    assert.ok(expected.includes(0) && !expected.every(Number.isFinite));
  });
}

Deno.test("every block encoding has stored blocks, and its codes lie in its range", () => {
  assert.deepEqual(Object.keys(stored.encodings).sort(), Object.keys(blockFormats).sort());
  for (const [name, format] of Object.entries(blockFormats)) {
    const { blockElements, blockBytes, groupElements, codeRange: [least, most] } = format;
    const bytes = bytesOf(stored.encodings[name as keyof typeof blockFormats].bytes);
    const codes = new Int8Array(blockElements);
    const scales = new Float32Array(blockElements / groupElements);
    const shifts = new Float32Array(scales.length);
    let [low, high] = [Infinity, -Infinity];
    for (let at = 0; at < bytes.length; at += blockBytes) {
      format.unpack(bytes, at, codes, scales, shifts);
      low = Math.min(low, ...codes);
      high = Math.max(high, ...codes);
    }
    assert.deepEqual([low, high], [least, most], name);
    assert.equal(encodings[name as keyof typeof blockFormats].blockBytes, blockBytes);
  }
});
