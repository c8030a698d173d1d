import assert from "node:assert/strict";
import { stopWatch } from "../../../models/generation/stop_strings.ts";

/** What a watcher says after each token, and what it should by looking at the whole text. */
function watchBoth(
  stops: readonly string[],
  decode: (ids: readonly number[]) => string,
  tokens: readonly number[],
): void {
  const watch = stopWatch(stops, decode);
  for (let count = 1; count <= tokens.length; count++) {
    const text = decode(tokens.slice(0, count));
    const cuts = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
    const expected = cuts.length > 0 ? text.slice(0, Math.min(...cuts)) : undefined;
    assert.equal(watch(tokens.slice(0, count)), expected, `${JSON.stringify(text)} ${stops}`);
    if (expected !== undefined) return;
  }
}

function random(seed: number): () => number {
  return () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}

Deno.test("stopWatch() finds what the whole text holds, at the same token, when tokens are bytes", () => {
  const alphabet = new TextEncoder().encode("ab é🙂");
  const decode = (ids: readonly number[]) => new TextDecoder().decode(Uint8Array.from(ids));
  for (let seed = 0; seed < 60; seed++) {
    const next = random(seed);
    const stops = ["aab", "é b", "🙂a", "bbbb a", "never"].filter(() => next() < 0.5);
    if (stops.length === 0) continue;
    const tokens = Array.from(
      { length: 400 },
      () => alphabet[Math.floor(next() * alphabet.length)]!,
    );
    const text = new TextEncoder().encode("ab ".repeat(90) + "é b🙂aab");
    watchBoth(stops, decode, tokens);
    watchBoth(stops, decode, [...text]);
  }
});

Deno.test("stopWatch() finds stop strings when tokens are words, long ones, or have no text", () => {
  const words = ["", "", " the", " a", "!", "\n\n", "User", ":", "x".repeat(50), " "];
  // The first word of a text loses its space, as SentencePiece decodes it.
  const decode = (ids: readonly number[]) => ids.map((id) => words[id]).join("").replace(/^ /, "");
  for (let seed = 0; seed < 60; seed++) {
    const next = random(seed);
    const tokens = Array.from({ length: 300 }, () => Math.floor(next() * words.length));
    for (const stops of [["\n\nUser:"], ["! the a!", " a a a a"], ["x a"], ["!\n\n!"]]) {
      watchBoth(stops, decode, tokens);
    }
  }
});

Deno.test("stopWatch() decodes a few tokens at a time", () => {
  let decoded = 0;
  const watch = stopWatch(["###"], (ids) => {
    decoded += ids.length;
    return ids.map((id) => `${id} `).join("");
  });
  const tokens: number[] = [];
  for (let i = 0; i < 5000; i++) {
    tokens.push(100 + i % 100);
    assert.equal(watch(tokens), undefined);
  }
  assert.ok(decoded < 30 * 5000, `${decoded} tokens decoded`);
});
