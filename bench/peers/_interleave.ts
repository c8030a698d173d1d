/**
 * Runs taken in turns, so that whatever else the machine does falls on all of them alike.
 *
 * @module
 */

/** Something that is measured. */
export interface Contender {
  readonly name: string;
  /** Does its work once. @returns The time it took by its own clock. */
  run(): Promise<{ readonly seconds: number }>;
  /** Runs before those that count, where they may be shorter; `run` when not given. */
  warmUp?(): Promise<unknown>;
}

/** Options of {@linkcode interleave}. */
export interface InterleaveOptions {
  /** Measured runs of each. */
  readonly rounds: number;
  /** Runs of each before, which do not count. */
  readonly warmups: number;
  /** Called after each run that counts. */
  readonly onRun: (round: number, name: string, seconds: number) => void;
}

/** Idle time before each run, in which the thread pools of the run before it come to rest. */
const PAUSE_MS = 300;

/**
 * Runs the contenders one after the other, round after round.
 *
 * @returns Seconds of each contender's measured runs, by name.
 */
export async function interleave(
  contenders: readonly Contender[],
  { rounds, warmups, onRun }: InterleaveOptions,
): Promise<Record<string, number[]>> {
  const seconds = Object.fromEntries(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 1 - warmups; round <= rounds; round++) {
    for (const { name, run, warmUp = run } of contenders) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (round < 1) {
        await warmUp();
        continue;
      }
      const result = await run();
      seconds[name]!.push(result.seconds);
      onRun(round, name, result.seconds);
    }
  }
  return seconds;
}

/** The middle of the values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1]! + sorted[Math.floor(half)]!) / 2;
}
