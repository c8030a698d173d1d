import { strict as assert } from "node:assert";
import type { BenchCase } from "../../cli/bench/case.ts";
import { advise, startTable, threeDigits, timesTable } from "../../cli/bench/report.ts";
import { measure, type Measured } from "../../cli/bench/measure.ts";
import { plan } from "../../cli/bench/run.ts";
import { questionNames, questions } from "../../cli/bench/questions.ts";
import { createReferenceBackend } from "../../graph/mod.ts";
import { dotPlot } from "../../cli/plots/dot_plot.ts";
import { renderSvg } from "../../cli/plots/render.ts";
import { inTempFolder, sppo } from "./_run.ts";

/** What a backend would have taken for a case. */
function taken(what: BenchCase, backend: string, ...times: number[]): Measured {
  const start = { loadMs: 1, compileMs: 20, firstMs: 300 };
  return { question: "judging", case: what, backend, start, times };
}

const reading = questions.judging.cases.at(-1)!;

Deno.test("timesTable() gives rates of the least time, the fastest backend first", () => {
  const what = { ...reading, name: "made up", flops: 2e9, bytes: 5e8, tokens: 512 };
  const lines = timesTable("judging", [
    taken(what, "slow", 100, 50, 60),
    taken(what, "fast", 20, 10, 40, 30),
  ]);
  const text = lines.join("\n").replaceAll(/ +/g, " ");
  assert.match(
    text,
    /^judging: What does a judge's reading cost\?\n\nmade up \(2\.00 GFLOP, 500 MB, 512 tokens\)\n/,
  );
  assert.match(
    text,
    /\n fast 10\.0 25\.0 4 200 50\.0 51,200 1\.00\n slow 50\.0 60\.0 3 40\.0 10\.0 10,200 5\.00$/,
  );
});

Deno.test("advise() names the fastest backend of the case that decides, and the next", () => {
  const measured = [taken(reading, "slow", 50), taken(reading, "fast", 10)];
  assert.deepEqual(advise(measured), [{
    use: "judging",
    backend: "fast",
    tokensPerSecond: reading.tokens! / 10 * 1000,
    next: { backend: "slow", times: 5 },
  }]);
});

Deno.test("startTable() shows what comes before warm runs apart", () => {
  const one = { name: "fast", backend: createReferenceBackend(), openMs: 7, gflops: 1 };
  const text = startTable([one], [taken(reading, "fast", 10)]).join("\n").replaceAll(/ +/g, " ");
  assert.match(text, /\n fast 7\.00\n a DeBERTa reads 4×128 tokens 1\.00 20\.0 300$/);
});

Deno.test("threeDigits() keeps three digits where they matter", () => {
  const written = [0, 0.01234, 1.234, 123.4, 12345].map(threeDigits);
  assert.deepEqual(written, ["0", "0.0123", "1.23", "123", "12,300"]);
});

Deno.test("plan() leaves out what a slow backend would take too long for", () => {
  const backend = createReferenceBackend();
  const slow = { name: "slow", backend, openMs: 0, gflops: 0.1 };
  const plans = plan("products", [slow], 1000);
  assert.equal(plans.length, questions.products.cases.length);
  for (const { case: what, leftOut } of plans) {
    assert.equal(leftOut !== undefined, what.flops > 1e8, what.name);
  }
  assert.match(plans[1]!.leftOut!, /^about 18\.1 s a run at 0\.100 GFLOP\/s$/);
});

Deno.test("measure() frees a case that fails, and one that is measured", async () => {
  let open = 0;
  const opened = (run: () => Promise<void>) => () => {
    open++;
    const dispose = () => Promise.resolve(void open--);
    return Promise.resolve({ run, start: { loadMs: 0, compileMs: 0 }, dispose });
  };
  const options = { budgetMs: 0, fewestRuns: 3, mostRuns: 5 };
  const { times } = await measure(opened(() => Promise.resolve()), options);
  assert.equal(times.length, 3);
  const failing = opened(() => Promise.reject(new Error("no")));
  await assert.rejects(measure(failing, options), /^Error: no$/);
  assert.equal(open, 0);
});

Deno.test("every small case runs on the reference backend", async () => {
  const backend = createReferenceBackend();
  const options = { budgetMs: 0, fewestRuns: 1, mostRuns: 1 };
  for (const name of questionNames) {
    const on = { name: "reference", backend, openMs: 0, gflops: 1 };
    for (const one of plan(name, [on], 3)) {
      if (one.leftOut === undefined) {
        assert.equal((await measure(one.open, options)).times.length, 1);
      }
    }
  }
  await backend.dispose();
});

Deno.test("dotPlot() draws a dot for each value and refuses what has no logarithm", async () => {
  const dots = [{ row: "product", name: "onnx", value: 1 }, {
    row: "product",
    name: "wasm",
    value: 10,
  }];
  const options = { title: "Times", axis: "milliseconds", dots };
  const svg = await renderSvg(dotPlot(options));
  assert.equal([...svg.matchAll(/aria-roledescription="point"/g)].length, 2);
  for (const text of ["Times", "milliseconds", "product", "onnx", "wasm"]) {
    assert.ok(svg.includes(`>${text}<`), text);
  }
  assert.throws(() => dotPlot({ ...options, dots: [] }), RangeError);
  assert.throws(() => dotPlot({ ...options, dots: [{ ...dots[0]!, value: 0 }] }), RangeError);
});

Deno.test("sppo bench prints, draws and records, and refuses names that it does not know", async () => {
  await inTempFolder(async (cwd) => {
    const args = ["bench", "--backends", "reference", "--questions", "sampling,attention"];
    const { code, stdout, stderr } = await sppo(
      [...args, "--budget", "0.001", "--longest", "0.1", "--plots", "p", "--json", "b.json"],
      { cwd },
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^attention: How fast is attention\?$/m);
    assert.match(stdout, /^ {2}reference +[\d.]+ +[\d.]+ +\d+ +[\d.]+ +[\d.]+ +1\.00$/m);
    assert.match(stdout, /^ {2}host +[\d.]+ .*1\.00$/m);
    assert.match(stdout, /Not measured:\n {2}reference, attention: causal 4×256.* s a run/);
    assert.match(await Deno.readTextFile(`${cwd}/p/bench.svg`), /^<svg /);
    const { measured } = JSON.parse(await Deno.readTextFile(`${cwd}/b.json`));
    assert.equal(measured.length, questions.sampling.cases.length + 1);
    for (
      const [given, message] of [
        [["--backends", "onyx"], /--backends as they must be of onnx, .*: onyx/],
        [["--questions", "speed"], /--questions as they must be of products, .*: speed/],
      ] as const
    ) {
      const refused = await sppo(["bench", ...given], { cwd });
      assert.equal(refused.code, 2);
      assert.match(refused.stderr, message);
    }
  });
});
