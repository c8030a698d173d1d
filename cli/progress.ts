/**
 * Progress of long work: a bar on a terminal, a line now and then elsewhere.
 *
 * @module
 */

/** Where progress is written. */
export interface Terminal {
  /** Whether a bar can be drawn in place. */
  readonly isTerminal: boolean;
  /** Width in columns. */
  columns(): number;
  write(text: string): void;
  /** Milliseconds since some moment. */
  now(): number;
}

/** Standard error. */
export const standardError: Terminal = {
  isTerminal: Deno.stderr.isTerminal(),
  columns() {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return 80; // neither stdin, stdout nor stderr is a terminal
    }
  },
  write(text) {
    const bytes = new TextEncoder().encode(text);
    for (let done = 0; done < bytes.length;) done += Deno.stderr.writeSync(bytes.subarray(done));
  },
  now: () => performance.now(),
};

/** Shows one task at a time. */
export interface Progress {
  /**
   * Shows how far a task is. A new label ends the task before.
   *
   * @param total 0 when it is not known.
   * @param unit What is counted, such as `prompts`; `bytes` are shown as KiB, MiB …
   * @param note Said after the rate, such as `loss 0.31`.
   */
  update(label: string, done: number, total: number, unit: string, note?: string): void;
  /** Ends the current task's line. */
  finish(): void;
  /** Writes a line of its own, above a bar. */
  line(text: string): void;
}

/** Shortest time between two drawings of a bar, and between two plain lines. */
const BAR_MS = 100;
const LINE_MS = 10_000;

/** Progress on a terminal or a file. */
export function progressOn(terminal: Terminal): Progress {
  let task: { label: string; started: number; from: number; last: string } | undefined;
  let shown = -Infinity;

  function draw(text: string): void {
    const fitted = text.length < terminal.columns() ? text : text.slice(0, terminal.columns() - 1);
    terminal.write(`\r\x1b[2K${fitted}`);
  }

  const progress: Progress = {
    update(label, done, total, unit, note = "") {
      const now = terminal.now();
      if (task?.label !== label) {
        progress.finish();
        task = { label, started: now, from: done, last: "" };
        shown = terminal.isTerminal ? -Infinity : now;
      }
      const text = status(label, done, total, unit, now - task.started, task.from) +
        (note ? `  ${note}` : "");
      task.last = text;
      const ended = total > 0 && done >= total;
      if (!ended && now - shown < (terminal.isTerminal ? BAR_MS : LINE_MS)) return;
      shown = now;
      if (terminal.isTerminal) draw(text);
      if (ended) progress.finish();
      else if (!terminal.isTerminal) terminal.write(`${text}\n`);
    },
    finish() {
      if (!task) return;
      if (terminal.isTerminal) draw(task.last);
      terminal.write(terminal.isTerminal ? "\n" : `${task.last}\n`);
      task = undefined;
    },
    line(text) {
      if (!terminal.isTerminal || !task) return terminal.write(`${text}\n`);
      terminal.write(`\r\x1b[2K${text}\n`);
      draw(task.last);
    },
  };
  return progress;
}

/** `iteration 1: responses  [#####     ] 12/50 prompts, 3.1/s, 0:12 left`. */
function status(
  label: string,
  done: number,
  total: number,
  unit: string,
  elapsedMs: number,
  from: number,
): string {
  const rate = elapsedMs > 0 ? (done - from) / elapsedMs * 1000 : 0;
  const inBytes = unit === "bytes";
  const amount = inBytes ? byteSize : String;
  const speed = rate > 0 ? `, ${inBytes ? byteSize(rate) : shortNumber(rate)}/s` : "";
  const counted = inBytes ? "" : ` ${unit}`;
  if (total <= 0) return `${label}  ${amount(done)}${counted}${speed}`;
  const filled = Math.min(20, Math.floor(done / total * 20));
  const bar = `[${"#".repeat(filled)}${" ".repeat(20 - filled)}]`;
  const left = rate > 0 && done < total ? `, ${duration((total - done) / rate)} left` : "";
  const took = done >= total ? `, ${duration(elapsedMs / 1000)}` : "";
  return `${label}  ${bar} ${amount(done)}/${amount(total)}${counted}${speed}${left}${took}`;
}

/** Three significant digits. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size >= 5 || size < -3) return value.toExponential(1);
  return value.toFixed(Math.max(0, 2 - size));
}

/** Seconds as `0:07`, `12:34` or `1:02:03`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** Bytes as `123 MiB`. */
export function byteSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = bytes;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : shortNumber(size)} ${units[unit]}`;
}

/** A table of text, numbers to the right. */
export function textTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  ").trimEnd();
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)]
    .join("\n");
}
