import assert from "node:assert/strict";
import { contentHash, hashText } from "../../../models/content_hash.ts";
import { fc } from "../../_deps.ts";

function digest(parts: readonly Uint8Array[]): string {
  const hash = contentHash();
  for (const part of parts) hash.add(part);
  return hash.digest();
}

Deno.test("contentHash() does not depend on how the bytes are cut into parts", () => {
  const cuts = fc.array(fc.nat({ max: 60 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), cuts, (bytes, cuts) => {
      const ends = [...cuts.filter((cut) => cut <= bytes.length), bytes.length]
        .sort((a, b) => a - b);
      const parts = ends.map((end, index) =>
        bytes.subarray(index === 0 ? 0 : ends[index - 1]!, end)
      );
      assert.equal(digest(parts), digest([bytes]));
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("contentHash() tells apart contents that differ in one bit, in order or in length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (bytes, at) => {
      const changed = bytes.slice();
      changed[at % bytes.length]! ^= 1 << (at % 8);
      assert.notEqual(digest([changed]), digest([bytes]));
      assert.notEqual(digest([bytes, Uint8Array.of(0)]), digest([bytes]));
      assert.notEqual(digest([Uint8Array.of(0), bytes]), digest([bytes]));
      if (String(bytes.toReversed()) !== String(bytes)) {
        assert.notEqual(digest([bytes.toReversed()]), digest([bytes]));
      }
    }),
    { seed: 2, numRuns: 500 },
  );
});

Deno.test("contentHash() may be asked in between and goes on", () => {
  const hash = contentHash();
  hash.add(Uint8Array.of(1, 2, 3, 4, 5));
  const before = hash.digest();
  assert.equal(hash.digest(), before);
  hash.add(Uint8Array.of(6));
  assert.equal(hash.digest(), digest([Uint8Array.of(1, 2, 3, 4, 5, 6)]));
});

Deno.test("contentHash() of many different contents has no two alike", () => {
  const seen = new Set<string>();
  for (let value = 0; value < 50_000; value++) {
    seen.add(digest([new Uint8Array(Uint32Array.of(value, 7).buffer)]));
  }
  assert.equal(seen.size, 50_000);
});

Deno.test("hashText() is 16 hexadecimal digits of the text's UTF-8", () => {
  assert.match(hashText(""), /^[0-9a-f]{16}$/);
  assert.equal(hashText("é"), digest([Uint8Array.of(0xc3, 0xa9)]));
});
