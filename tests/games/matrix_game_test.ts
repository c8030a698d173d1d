import assert from "node:assert/strict";
import { matrixGame } from "../../games/matrix_game.ts";

Deno.test("matrixGame() measures the gap of a mixture", () => {
  const game = matrixGame([[0.5, 0.9, 0.3], [0.1, 0.5, 0.6], [0.7, 0.4, 0.5]]);
  // P p for p = (½, ½, 0): (0.7, 0.3, 0.55).
  assert.ok(Math.abs(game.gap([0.5, 0.5, 0]) - 0.2) < 1e-12);
});

Deno.test("matrixGame() refuses what is no preference game", () => {
  assert.throws(() => matrixGame([]), TypeError);
  assert.throws(() => matrixGame([[0.5, 0.5]]), TypeError);
  assert.throws(() => matrixGame([[0.5, 0.6], [0.3, 0.5]]), RangeError);
  assert.throws(() => matrixGame([[0.6]]), RangeError);
  assert.throws(() => matrixGame([[0.5, 1.5], [-0.5, 0.5]]), RangeError);
  assert.throws(() => matrixGame([[0.5, NaN], [NaN, 0.5]]), RangeError);
  assert.throws(() => matrixGame([[0.5, 0.5], [0.5, 0.5]], ["a", "a"]), TypeError);
});

Deno.test("matrixGame().oracle refuses texts that are no answers", async () => {
  const { oracle } = matrixGame([[0.5, 1], [0, 0.5]], ["a", "b"]);
  const groups = [{ prompt: { id: "p", content: "?" }, responses: [{ text: "c" }] }];
  await assert.rejects(async () => {
    for await (const _ of oracle.compare(groups));
  }, { name: "RangeError", message: /must be an answer of the game: "c"/ });
});
