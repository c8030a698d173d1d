import { strict as assert } from "node:assert";
import { linePlot } from "../../cli/plots/line_plot.ts";
import { renderSvg } from "../../cli/plots/render.ts";
import { type Mixture3, simplexPlot, simplexPoint } from "../../cli/plots/simplex_plot.ts";

const gap = { title: "gap", scale: "log" as const };
const rounds = { title: "rounds", scale: "log" as const, base: 2 };

/** Vega writes coordinates with three decimals. */
const COORDINATE = 2e-3;

/** The points of the lines of a picture, in its axes' coordinates. */
function pathPoints(svg: string): [number, number][][] {
  return [...svg.matchAll(/<path [^>]*?d="(M[^"]*)"[^>]*stroke-width="1\.[82]"/g)].map(([, d]) =>
    [...d!.matchAll(/[ML](-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)])
  );
}

Deno.test("renderSvg() draws curves where their points are", async () => {
  const svg = await renderSvg(linePlot({
    title: "A & B",
    x: rounds,
    y: gap,
    series: [
      { name: "average", points: [{ x: 1, y: 1 }, { x: 2, y: 0.1 }, { x: 4, y: 0.01 }] },
      {
        name: "last",
        points: [{ x: 1, y: 1, low: 0.5, high: 1 }, { x: 4, y: 1, low: 1, high: 1 }],
      },
    ],
    width: 200,
    height: 100,
  }));
  assert.match(svg, /^<svg [^]*<\/svg>\n$/);
  for (const text of ["A &amp; B", "rounds", "gap", "average", "last"]) {
    assert.ok(svg.includes(`>${text}<`), text);
  }
  const [average, last] = pathPoints(svg);
  // Both axes are logarithmic, so the line is straight, from the upper left to the lower right.
  assert.deepEqual(average, [[0, 0], [100, 50], [200, 100]]);
  assert.deepEqual(last, [[0, 0], [200, 0]]);
});

Deno.test("linePlot() refuses what it cannot draw", () => {
  const options = { title: "t", x: rounds, y: gap };
  assert.throws(() => linePlot({ ...options, series: [] }), RangeError);
  for (const y of [0, NaN, Infinity]) {
    const series = [{ name: "a", points: [{ x: 1, y }] }];
    assert.throws(() => linePlot({ ...options, series }), {
      name: "RangeError",
      message: /"gap" as its values must be finite and positive/,
    });
  }
});

Deno.test("renderSvg() passes on what Vega warns of", async () => {
  await assert.rejects(
    renderSvg({ data: { values: [{ x: 1 }] }, mark: "bar", encoding: { nowhere: { field: "x" } } }),
    /must not warn/,
  );
});

Deno.test("simplexPlot() draws mixtures between the corners", async () => {
  assert.deepEqual(simplexPoint([1, 0, 0]), { x: 0, y: 0 });
  const middle = simplexPoint([1 / 3, 1 / 3, 1 / 3]);
  assert.ok(Math.abs(middle.x - 0.5) < 1e-12 && Math.abs(middle.y - Math.sqrt(3) / 6) < 1e-12);
  const mixtures: Mixture3[] = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  const svg = await renderSvg(simplexPlot({
    title: "t",
    corners: ["rock", "paper", "scissors"],
    paths: [{ name: "last", mixtures }],
    marks: [{ name: "equilibrium", mixture: [1 / 3, 1 / 3, 1 / 3] }],
    side: 100,
  }));
  for (const text of ["rock", "paper", "scissors", "last", "equilibrium"]) {
    assert.ok(svg.includes(`>${text}<`), text);
  }
  const [path] = pathPoints(svg);
  assert.equal(path!.length, 3);
  // Left, right, top; the picture's y grows downwards.
  assert.ok(Math.abs(path![1]![0] - path![0]![0] - 100) < COORDINATE);
  assert.ok(Math.abs(path![0]![1] - path![2]![1] - 50 * Math.sqrt(3)) < COORDINATE);
  const bad = [{ name: "last", mixtures: [[0.5, 0.6, 0]] as Mixture3[] }];
  assert.throws(
    () => simplexPlot({ title: "t", corners: ["a", "b", "c"], paths: bad }),
    RangeError,
  );
});
