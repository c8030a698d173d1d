/**
 * One side of the comparison of training steps: a process of its own that answers a line of JSON for
 * each line, as `protocol.py` describes. What a side cannot do ends it.
 *
 * @module
 */

import process from "node:process";
import { peakMemory } from "../../cli/peak_memory.ts";

/** A model in training. */
export interface Training {
  /** Loss and gradients of the weights as they are, by name. */
  gradients(): Promise<{ loss: number; gradients: ReadonlyMap<string, Float32Array> }>;
  /** One step. @returns the loss before it. */
  step(): Promise<number>;
}

/** Elements of a gradient that are told, evenly spaced. */
const SAMPLES = 16;

/** What is told of gradients: the largest element of each, its norm, and some elements. */
function summary(gradients: ReadonlyMap<string, Float32Array>) {
  return Object.fromEntries([...gradients].map(([name, values]) => {
    const stride = Math.max(1, Math.floor(values.length / SAMPLES));
    return [name, {
      largest: values.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
      norm: Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)),
      samples: [...values.filter((_, at) => at % stride === 0)],
    }];
  }));
}

/** Says that the side is ready, then answers `run gradients` and `run steps N` until its input ends. */
export async function serve(
  versions: Readonly<Record<string, string>>,
  training: Training,
): Promise<void> {
  const answer = (value: unknown) => {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
    for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
  };
  answer({ ready: true, versions });
  const decoder = new TextDecoderStream();
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(decoder)) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const [, what, count = "1"] = line.split(" ");
      const before = process.cpuUsage();
      const began = performance.now();
      const found: Record<string, unknown> = {};
      if (what === "gradients") {
        const { loss, gradients } = await training.gradients();
        Object.assign(found, { loss, gradients: summary(gradients) });
      } else {
        const losses: number[] = [];
        for (let step = 0; step < Number(count); step++) losses.push(await training.step());
        found.losses = losses;
      }
      const { user, system } = process.cpuUsage(before);
      answer({
        ...found,
        seconds: (performance.now() - began) / 1000,
        cpu_seconds: (user + system) / 1e6,
        peak_rss_mib: Math.round(peakMemory() / 2 ** 20),
      });
    }
  }
  Deno.exit(0); // workers of a side may still wait
}
