import { strict as assert } from "node:assert";
import {
  byteSize,
  duration,
  progressOn,
  shortNumber,
  type Terminal,
  textTable,
} from "../../cli/progress.ts";

/** A terminal that remembers what was written, with a clock set by hand. */
function terminal(isTerminal: boolean): Terminal & { text: string; time: number } {
  const made = {
    text: "",
    time: 0,
    isTerminal,
    columns: () => 100,
    write(text: string) {
      made.text += text;
    },
    now: () => made.time,
  };
  return made;
}

Deno.test("progressOn() draws a bar in place on a terminal, with rate and time left", () => {
  const screen = terminal(true);
  const progress = progressOn(screen);
  progress.update("responses", 0, 8, "prompts");
  screen.time = 50; // too soon to draw again
  progress.update("responses", 1, 8, "prompts");
  screen.time = 2000;
  progress.update("responses", 4, 8, "prompts", "note");
  progress.line("a line");
  screen.time = 4000;
  progress.update("responses", 8, 8, "prompts");
  const drawn = screen.text.split("\r\x1b[2K").slice(1);
  assert.deepEqual(drawn, [
    "responses  [                    ] 0/8 prompts",
    "responses  [##########          ] 4/8 prompts, 2.00/s, 0:02 left  note",
    "a line\n",
    "responses  [##########          ] 4/8 prompts, 2.00/s, 0:02 left  note",
    "responses  [####################] 8/8 prompts, 2.00/s, 0:04",
    "responses  [####################] 8/8 prompts, 2.00/s, 0:04\n",
  ]);
});

Deno.test("progressOn() writes a line now and then where there is no terminal", () => {
  const file = terminal(false);
  const progress = progressOn(file);
  for (let second = 0; second <= 30; second++) {
    file.time = second * 1000;
    progress.update("training", second, 30, "steps");
  }
  progress.update("loading", 1 << 20, 0, "bytes");
  progress.finish();
  assert.deepEqual(file.text.split("\n"), [
    "training  [######              ] 10/30 steps, 1.00/s, 0:20 left",
    "training  [#############       ] 20/30 steps, 1.00/s, 0:10 left",
    "training  [####################] 30/30 steps, 1.00/s, 0:30",
    "loading  1.00 MiB",
    "",
  ]);
});

Deno.test("progressOn() never draws past the width of the terminal", () => {
  const screen = { ...terminal(true), columns: () => 20 };
  let text = "";
  progressOn({ ...screen, write: (more) => void (text += more) }).update(
    "responses",
    0,
    9,
    "prompts",
  );
  assert.equal(text, "\r\x1b[2Kresponses  [       ");
});

Deno.test("shortNumber(), duration() and byteSize() are short", () => {
  assert.deepEqual([0, 0.0123, 1.234, 12.34, 1234, 1e7, NaN].map(shortNumber), [
    "0",
    "0.0123",
    "1.23",
    "12.3",
    "1234",
    "1.0e+7",
    "NaN",
  ]);
  assert.deepEqual([0, 59.6, 3723].map(duration), ["0:00", "1:00", "1:02:03"]);
  assert.deepEqual([12, 2048, 3 * 2 ** 30].map(byteSize), ["12 B", "2.00 KiB", "3.00 GiB"]);
});

Deno.test("textTable() puts columns under each other", () => {
  assert.equal(
    textTable(["n", "win"], [["1", "50 %"], ["12", "-"]]),
    " n   win\n--  ----\n 1  50 %\n12     -",
  );
});
