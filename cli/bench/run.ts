/**
 * Measures questions on backends, case by case.
 *
 * @module
 */

import { oneLine } from "../errors.ts";
import type { OpenedCase, Question } from "./case.ts";
import type { Contestant, LeftOut } from "./contestants.ts";
import { measure, type Measured, type MeasureOptions } from "./measure.ts";
import { type QuestionName, questions } from "./questions.ts";
import { threeDigits } from "./report.ts";

/** Options of {@linkcode runQuestions}. */
export interface RunQuestionsOptions extends MeasureOptions {
  /** A run that would take longer is left out. */
  readonly mostRunMs: number;
  /** Called before each measurement. */
  readonly onCase?: (done: number, total: number, what: string) => void;
}

/** Of a run whose operations are not counted. */
const UNCOUNTED_MS = 10;

/** Something that can be measured, or why it is not. */
export interface Plan {
  readonly question: QuestionName;
  readonly case: Measured["case"];
  /** The backend's name, or `host`. */
  readonly backend: string;
  /** Milliseconds of a run, about. */
  readonly estimatedMs: number;
  open(): Promise<OpenedCase>;
  readonly leftOut?: string;
}

/** Every case of a question on every backend. */
export function plan(
  name: QuestionName,
  contestants: readonly Contestant[],
  mostRunMs: number,
): Plan[] {
  const question: Question = questions[name];
  if (question.on === "host") {
    return question.cases.map((one) => ({
      question: name,
      case: one,
      backend: "host",
      estimatedMs: UNCOUNTED_MS,
      open: () => one.open(),
    }));
  }
  return question.cases.flatMap((one) =>
    contestants.map((on): Plan => {
      const ms = one.flops === 0 ? UNCOUNTED_MS : one.flops / on.gflops / 1e6;
      const leftOut = `about ${threeDigits(ms / 1000)} s a run at ${
        threeDigits(on.gflops)
      } GFLOP/s`;
      return {
        question: name,
        case: one,
        backend: on.name,
        estimatedMs: ms,
        open: () => one.open(on.backend),
        ...(ms > mostRunMs ? { leftOut } : {}),
      };
    })
  );
}

/** Measures; a case that cannot be run is left out with its error. */
export async function runQuestions(
  names: readonly QuestionName[],
  contestants: readonly Contestant[],
  { mostRunMs, onCase, ...options }: RunQuestionsOptions,
): Promise<{ measured: Measured[]; leftOut: LeftOut[] }> {
  const plans = names.flatMap((name) => plan(name, contestants, mostRunMs));
  const measured: Measured[] = [];
  const leftOut: LeftOut[] = [];
  for (const [index, { question, case: what, backend, open, ...planned }] of plans.entries()) {
    const name = `${backend}, ${question}: ${what.name}`;
    onCase?.(index, plans.length, name);
    if (planned.leftOut !== undefined) {
      leftOut.push({ name, reason: planned.leftOut });
      continue;
    }
    try {
      measured.push({ question, case: what, backend, ...await measure(open, options) });
    } catch (error) {
      options.signal?.throwIfAborted();
      leftOut.push({ name, reason: oneLine(error) });
    }
  }
  onCase?.(plans.length, plans.length, "");
  return { measured, leftOut };
}
