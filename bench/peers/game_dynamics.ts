/**
 * Multiplicative weights on a random game, ours against a plain NumPy script, each in float64 and in
 * float32, in turns; and the linear program of a smaller game.
 *
 *     deno run --allow-read --allow-write --allow-run --allow-sys=cpus,loadavg \
 *       bench/peers/game_dynamics.ts [--python PYTHON] [--size 1000] [--length 10000] [--rounds 3] \
 *       [--program 500] [--json FILE] [--markdown docs/performance.md]
 *
 * NumPy uses as many threads as its library likes, ours one. All four must find the same gap before
 * anything counts.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { peakMemory } from "../../cli/peak_memory.ts";
import { hedge, hedgeEta, play, randomGame, vonNeumannWinner } from "../../games/mod.ts";
import { type Contender, interleave } from "./_interleave.ts";
import { runComparison, say, wholeNumber } from "./_options.ts";
import { startPeer } from "./_peer.ts";
import { comparison, measurement, thisMachine, writeReport } from "./_report.ts";

/** Of gaps, absolute: ten thousand mixtures in float32 add up to this. */
const GAP_TOLERANCE = 1e-4;
const PRECISIONS = ["float64", "float32"] as const;

await runComparison(async () => {
  const { values } = parseArgs({
    options: {
      python: { type: "string", default: "python3" },
      size: { type: "string", default: "1000" },
      length: { type: "string", default: "10000" },
      rounds: { type: "string", default: "3" },
      program: { type: "string", default: "500" },
      json: { type: "string" },
      markdown: { type: "string" },
    },
  });
  const size = wholeNumber("size", values.size, 2);
  const length = wholeNumber("length", values.length, 1);
  const rounds = wholeNumber("rounds", values.rounds, 1);
  const program = wholeNumber("program", values.program, 2);
  const machine = thisMachine();
  await using resources = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ prefix: "sppo-game-" });
  resources.defer(() => Deno.remove(folder, { recursive: true }));
  const game = randomGame(size, 0);
  await Deno.writeFile(`${folder}/game.bin`, new Uint8Array(game.preferences.buffer));

  const gaps: Record<string, number> = {};
  const contenders: Contender[] = [];
  let versions: Record<string, string> = {};
  let numpyMib = 0;
  for (const precision of PRECISIONS) {
    const ours = `ours, ${precision}`, theirs = `NumPy, ${precision}`;
    contenders.push({
      name: ours,
      run() {
        const start = performance.now();
        const iterates = hedge(game, { eta: hedgeEta(size, length), precision });
        const { average } = play(game, iterates, { rounds: length });
        const seconds = (performance.now() - start) / 1000;
        gaps[ours] = game.gap(average);
        return Promise.resolve({ seconds });
      },
    });
    const args = ["--game", `${folder}/game.bin`, "--size", `${size}`, "--dtype", precision];
    const peer = resources.use(await startPeer(values.python, "numpy_hedge.py", args));
    versions = { ...versions, ...peer.versions };
    contenders.push({
      name: theirs,
      async run() {
        const result = await peer.run(length);
        gaps[theirs] = result.gap as number;
        numpyMib = Math.max(numpyMib, result.peak_rss_mib);
        return result;
      },
    });
  }
  const seconds = await interleave(contenders, {
    rounds,
    warmups: 1,
    onRun: (round, who, took) => say(`round ${round}/${rounds}: ${who} ${took.toFixed(2)} s`),
  });
  const found = Object.values(gaps);
  const spread = Math.max(...found) - Math.min(...found);
  if (!(spread < GAP_TOLERANCE)) {
    throw new Error(`Cannot compare as all must find the same gap: ${JSON.stringify(gaps)}`);
  }
  say(`linear program of ${program} answers`);
  const started = performance.now();
  const winner = await vonNeumannWinner(randomGame(program, 1));
  const solved = (performance.now() - started) / 1000;
  await writeReport({
    benchmark: "game_dynamics",
    unit: "rounds",
    date: new Date().toISOString().slice(0, 10),
    machine,
    versions: { deno: Deno.version.deno, ...versions },
    settings: { answers: size, "rounds of a run": length, "threads of ours": 1, rounds },
    checks: { "gaps of the averages": spread },
    measurements: [
      ...contenders.map(({ name }) => measurement(name, length, seconds[name]!)),
      measurement(
        `linear program, ${program} answers, gap ${winner.gap.toExponential(0)}`,
        1,
        [solved],
      ),
    ],
    comparisons: PRECISIONS.map((precision) =>
      comparison(
        `than NumPy, ${precision}`,
        seconds[`ours, ${precision}`]!,
        seconds[`NumPy, ${precision}`]!,
      )
    ),
    peak_memory_mib: { ours: Math.round(peakMemory() / 2 ** 20), numpy: numpyMib },
  }, { json: values.json, markdown: values.markdown });
});
