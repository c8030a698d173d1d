/**
 * A question of `sppo bench` as benches: a group for each case, a bench for each backend. When all have
 * run, the same tables as those of `sppo bench` go to standard error, with GFLOP/s, GB/s and the start.
 *
 * @module
 */

import type { OpenedCase } from "../cli/bench/case.ts";
import { type Contest, fastest, openContestants } from "../cli/bench/contestants.ts";
import type { Measured } from "../cli/bench/measure.ts";
import type { QuestionName } from "../cli/bench/questions.ts";
import { leftOutLines, startTable, timesTable, work } from "../cli/bench/report.ts";
import { type Plan, plan } from "../cli/bench/run.ts";

/** Longest run: `deno bench` runs each bench four times at least. */
const MOST_RUN_MS = 2000;
/** About so long is each bench measured, beside the three runs that Deno adds. */
const BUDGET_MS = 300;
const MOST_RUNS = 30;

/** The case that is open; another one replaces it, so that only one is in memory. */
let current:
  | { readonly of: Plan; readonly opened: OpenedCase; readonly firstMs: number }
  | undefined;

async function timed(run: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

async function open(of: Plan): Promise<NonNullable<typeof current>> {
  if (current?.of === of) return current;
  await current?.opened.dispose();
  current = undefined;
  const opened = await of.open();
  const firstMs = await timed(opened.run);
  if (firstMs < MOST_RUN_MS / 4) await opened.run();
  return current = { of, opened, firstMs };
}

function say(lines: readonly string[]): void {
  const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
  for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
}

/** Registers the benches of a question. The baseline is the backend with the fastest small product. */
export async function benchQuestion(question: QuestionName): Promise<void> {
  const contest = await openContestants({
    resources: new AsyncDisposableStack(), // the process ends with the benches
  });
  benchContest(question, contest, fastest(contest.contestants)?.name);
}

/** Registers the benches of a question on given backends, one of them the baseline. */
export function benchContest(
  question: QuestionName,
  { contestants, leftOut }: Contest,
  baseline: string | undefined,
): void {
  const measured: Measured[] = [];
  for (const one of plan(question, contestants, MOST_RUN_MS)) {
    if (one.leftOut !== undefined) {
      leftOut.push({ name: `${one.backend}, ${one.case.name}`, reason: one.leftOut });
      continue;
    }
    const times: number[] = [];
    Deno.bench({
      name: one.backend,
      group: `${one.case.name} (${work(one.case)})`,
      baseline: one.backend === baseline || one.backend === "host",
      warmup: 0,
      n: Math.max(1, Math.min(MOST_RUNS, Math.round(BUDGET_MS / one.estimatedMs))),
      async fn(bench) {
        const { opened, firstMs } = await open(one);
        if (times.length === 0) {
          const { start } = opened;
          measured.push({ ...one, question, start: { ...start, firstMs }, times });
        }
        bench.start();
        times.push(await timed(opened.run));
        bench.end();
      },
    });
  }
  addEventListener("unload", () => {
    say(["", ...timesTable(question, measured), "", ...startTable(contestants, measured)]);
    say(leftOutLines(leftOut));
  });
}
