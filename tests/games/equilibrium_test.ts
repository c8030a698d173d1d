import assert from "node:assert/strict";
import { vonNeumannWinner } from "../../games/equilibrium.ts";
import { parseGame } from "../../games/parse_game.ts";
import { cycleGame, randomGame } from "../../games/random_games.ts";
import { bestOf, condorcetWinner, copelandScores } from "../../games/winners.ts";
import { sharedPath, skipReason } from "../_shared.ts";
import { soccer } from "./_games.ts";

/** Figures are given with four decimals. */
const FIGURE = 1e-3;
/** A basic solution of a well-scaled program, in float64. */
const SOLVED = 1e-9;

function plays(
  { mixture }: { readonly mixture: Float64Array },
  expected: Readonly<Record<number, number>>,
): void {
  for (const [index, p] of mixture.entries()) {
    assert.ok(Math.abs(p - (expected[index] ?? 0)) < FIGURE, `${p} at ${index}`);
  }
}

Deno.test("vonNeumannWinner() finds the mixture of the soccer game", async () => {
  const winner = await vonNeumannWinner(soccer);
  plays(winner, { 1: 0.5218, 8: 0.3308, 9: 0.1474 });
  assert.deepEqual(winner.support, [1, 8, 9]);
  assert.ok(winner.gap < SOLVED);
  assert.equal(condorcetWinner(soccer), undefined);
});

const BOTS = "data/games/rrps_bots.txt";
const botsPath = sharedPath(BOTS);

Deno.test({
  name: "vonNeumannWinner() plays other bots than the Copeland winner" +
    (botsPath === undefined ? ` (${skipReason(BOTS)})` : ""),
  ignore: botsPath === undefined,
  async fn() {
    const bots = parseGame(await Deno.readTextFile(botsPath!), { win: 1000 });
    assert.equal(bots.size, 43);
    const winner = await vonNeumannWinner(bots);
    const names = ["randbot", "markovbails", "shofar", "iocainebot", "greenberg"];
    assert.deepEqual(winner.support.map((index) => bots.answers[index]), names);
    const shares = [0.8917, 0.0459, 0.0377, 0.0197, 0.0050];
    plays(winner, Object.fromEntries(winner.support.map((index, k) => [index, shares[k]!])));
    assert.deepEqual(bestOf(copelandScores(bots)).map((i) => bots.answers[i]), ["iocainebot"]);
  },
});

Deno.test("vonNeumannWinner() is unbeaten in random games, and alone where one answer beats all", async () => {
  for (const size of [1, 2, 5, 40]) {
    const game = randomGame(size, size);
    const { mixture, gap, support } = await vonNeumannWinner(game);
    assert.ok(gap < SOLVED && game.gap(mixture) < SOLVED, `gap ${gap} of ${size}`);
    assert.ok(Math.abs(mixture.reduce((sum, p) => sum + p, 0) - 1) < SOLVED);
    const alone = condorcetWinner(game);
    if (alone !== undefined) assert.deepEqual(support, [alone]);
  }
  // A cycle above everything else is all that is played.
  const cycle = cycleGame([0.9, 0.6, 0.7]).preferences;
  const game = parseGame(
    [0, 1, 2].map((i) => [...cycle.slice(3 * i, 3 * i + 3), 0.9].join(" ")).join("\n") +
      "\n0.1 0.1 0.1 0.5",
  );
  plays(await vonNeumannWinner(game), { 0: 1 / 7, 1: 2 / 7, 2: 4 / 7 });
});

Deno.test("vonNeumannWinner() takes games of ties, and of wins and losses only", async () => {
  const ties = parseGame("0 0 0\n0 0 0\n0 0 0");
  assert.ok((await vonNeumannWinner(ties)).gap <= SOLVED);
  const hard = parseGame("0 1 -1\n-1 0 1\n1 -1 0");
  plays(await vonNeumannWinner(hard), { 0: 1 / 3, 1: 1 / 3, 2: 1 / 3 });
});

Deno.test("parseGame() says what is wrong, and where", () => {
  const wrong = (text: string, error: RegExp, win?: number) =>
    assert.throws(
      () => parseGame(text, { name: "g.txt", ...(win === undefined ? {} : { win }) }),
      error,
    );
  wrong("\n \n", /SyntaxError: Cannot read g\.txt as it must hold a game: it is empty/);
  wrong("0.5 0.5\n0.5", /g\.txt:2 as a matrix must be square/);
  wrong("a, b\n", /g\.txt:1 as a line must be a row of numbers/);
  wrong("a,b,1\na,b,2", /g\.txt:2 as pairs must stand once: a, b twice/);
  wrong("a,b,1\na,c,1", /every pair must have a payoff: none for b, c/);
  wrong("a,b,3", /RangeError: Cannot read g\.txt as no payoff may be above.*2: 3/, 2);
});

Deno.test("parseGame() takes one order of a pair for both, and averages two", () => {
  assert.deepEqual([...parseGame("a,b,5", { win: 10 }).preferences], [0.5, 0.75, 0.25, 0.5]);
  assert.deepEqual([...parseGame("0 6\n-4 0", { win: 10 }).preferences], [0.5, 0.75, 0.25, 0.5]);
});
