// People asked in a terminal that is not there, and in one that is.

import { strict as assert } from "node:assert";
import { loadStringWidth } from "../../cli/_deps.ts";
import { type KeyTerminal, terminalVoter } from "../../cli/people/terminal_voter.ts";
import { openVoteFile } from "../../cli/people/vote_file.ts";
import { plainText, wrapText } from "../../cli/people/wrap_text.ts";
import { humanJudge, voteKey } from "../../judges/mod.ts";
import { fc } from "../_deps.ts";
import { inTempFolder, sppo, wordsOf } from "./_run.ts";

const measure = await loadStringWidth();

interface FakeTerminal extends KeyTerminal {
  readonly screens: string[];
  opened: number;
  closed: number;
  resize(): void;
}

/** A terminal of a size, in which keys are typed one by one. */
function fakeTerminal(
  keys: readonly string[],
  size = { columns: 40, rows: 12 },
): FakeTerminal {
  const left = [...keys];
  const terminal: FakeTerminal = {
    ...{ screens: [], opened: 0, closed: 0, resize() {} },
    open: () => (terminal.opened++, Promise.resolve()),
    close: () => void terminal.closed++,
    read: () => Promise.resolve(left.shift()),
    write: (text: string) => void terminal.screens.push(text),
    size: () => size,
    onResize(listener: () => void) {
      terminal.resize = listener;
      return () => void (terminal.resize = () => {});
    },
  };
  return terminal;
}

/** A screen's lines, without its styles and the sequences that place it. */
function linesOf(screen: string): string[] {
  // deno-lint-ignore no-control-regex
  return screen.replace(/\x1b\[[0-9]*[HJKm]/g, "").split("\r\n");
}

const question = {
  ...{ prompt: { id: "p", content: "Why?" }, first: "Left\tone.", second: "Right 你好 one." },
  ...{ number: 2, total: 3 },
};

Deno.test("terminalVoter() shows two responses side by side, and takes keys for answers", async () => {
  const terminal = fakeTerminal(["x", "\x1b[A1", "2", "=", "0", "u"]);
  const voter = terminalVoter(terminal, { measure, stop() {} });
  {
    using session = await voter.begin();
    assert.equal(await session.ask({ ...question, later: 4, name: "Ann" }), "first");
    const lines = linesOf(terminal.screens[0]!);
    assert.equal(lines.length, 12);
    assert.equal(lines[0], "Ann: question 2 of 3, then up to 4 more");
    assert.equal(lines[2], "Why?");
    assert.match(lines[4]!, /^── 1 ─+┬── 2 ─+$/);
    assert.equal(lines[5], "Left  one.         │ Right 你好 one.");
    assert.equal(lines[11], "1 is better   2 is better   = neither");
    for (const expected of ["second", "tie", "tie", "back"]) {
      assert.equal(await session.ask(question), expected);
    }
    assert.deepEqual([terminal.opened, terminal.closed], [1, 0]);
    await assert.rejects(
      session.ask(question),
      /as the terminal must stay open: its input has end/,
    );
  }
  assert.deepEqual([terminal.opened, terminal.closed], [1, 1]);
});

Deno.test("terminalVoter() scrolls through long responses, not past their end, and follows the size", async () => {
  const size = { columns: 40, rows: 10 };
  const terminal = fakeTerminal(["\x1b[B", " ", " ", "\x1b[5~", "b", "1"], size);
  const first = Array.from({ length: 12 }, (_, index) => `line ${index}`).join("\n");
  using session = await terminalVoter(terminal, { measure, stop() {} }).begin();
  const answer = session.ask({ ...question, first });
  terminal.resize();
  await answer;
  const places = terminal.screens.map((screen) => linesOf(screen)[1]);
  const at = (from: number) => `lines ${from}-${from + 6} of 15: ↑ ↓ space b`;
  assert.deepEqual(places, [at(1), at(1), at(2), at(8), at(9), at(3), at(1)]);
  assert.match(terminal.screens[4]!, /line 11/);
});

Deno.test("terminalVoter() stops at q and when its signal is aborted, and closes the terminal", async () => {
  for (const keys of [["q"], ["\x03"], []]) {
    const reason = new Error("enough"), controller = new AbortController();
    const terminal = fakeTerminal(keys);
    if (keys.length === 0) {
      terminal.read = () => {
        controller.abort(reason);
        return new Promise(() => {});
      };
    }
    const voter = terminalVoter(terminal, { measure, stop: () => controller.abort(reason) });
    const groups = [{ prompt: question.prompt, responses: [{ text: "a" }, { text: "b" }] }];
    const { signal } = controller;
    await assert.rejects(
      Array.fromAsync(humanJudge(voter).compare(groups, { signal })),
      (error) => error === reason,
    );
    assert.equal(terminal.closed, 1);
  }
});

Deno.test("terminalVoter() obeys nothing that a text says", async () => {
  const terminal = fakeTerminal(["1"], { columns: 60, rows: 20 });
  using session = await terminalVoter(terminal, { measure, stop() {} }).begin();
  const evil = "\x1b[2J\x1b]0;title\x07\x9b31m\u202eafter\ud800\u0000\x7f\rend";
  await session.ask({
    ...{ ...question, first: evil, second: evil, name: evil },
    prompt: { id: "p", content: [{ role: "user", content: evil }] },
  });
  const shown = linesOf(terminal.screens.join("")).join("\n");
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(shown, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800]/);
  assert.match(shown, /\[2J\]0;title31mafter\ufffd/);
});

const characters = (text: string) => [...new Intl.Segmenter().segment(text)].length;

Deno.test("wrapText() keeps to its width, and loses nothing but white space", () => {
  fc.assert(fc.property(
    fc.string({ unit: "grapheme", maxLength: 200 }),
    fc.integer({ min: 2, max: 30 }),
    (drawn, width) => {
      const text = plainText(drawn);
      const lines = wrapText(text, width, measure);
      assert.ok(lines.every((line) => measure(line) <= width || characters(line) === 1));
      assert.equal(lines.join("").replace(/\s/g, ""), text.replace(/\s/g, ""));
    },
  ));
  assert.deepEqual(wrapText("a  b\n\n    indented too far", 8, measure), [
    ...["a  b", "", "    inde", "nted too", "far"],
  ]);
});

Deno.test("openVoteFile() keeps votes as labels, and refuses what is none", () =>
  inTempFolder(async (cwd) => {
    const path = `${cwd}/votes.jsonl`;
    const prompt = { id: "p", content: [{ role: "user" as const, content: "\ud800?" }] };
    const vote = (first: 0 | 1, better: 0 | 1 | "neither") => ({
      ...{ prompt, first, better },
      responses: ["a\ud800", "b"] as const,
    });
    {
      using file = openVoteFile(path);
      file.set("1", vote(0, 1));
      file.set("1", vote(1, 1));
      assert.deepEqual([file.before, file.given().length], [0, 1]);
    }
    const lines = (await Deno.readTextFile(path)).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.deepEqual(lines[0], {
      ...{ prompt_id: "p", prompt: prompt.content, responses: ["a\ud800", "b"] },
      verdicts: [[null, 2], [null, null]],
    });
    assert.deepEqual(lines[1].verdicts, [[null, null], [1, null]]);
    {
      using file = openVoteFile(path);
      assert.equal(file.before, 1);
      assert.deepEqual(file.get(voteKey(prompt.content, "b", "a\ud800")), vote(1, 1));
      for (const [first, better] of [[0, 0], [1, 0], [0, "neither"], [1, "neither"]] as const) {
        file.set(voteKey(prompt.content, `${first}`, `${better}`), {
          ...vote(first, better),
          responses: [`${first}`, `${better}`],
        });
      }
    }
    {
      using again = openVoteFile(path);
      assert.equal(again.before, 5);
      const kept = again.get(voteKey(prompt.content, "1", "neither"));
      assert.deepEqual([kept?.first, kept?.better], [1, "neither"]);
    }
    for (const wrong of ['{"responses":["a"],"verdicts":[]}', '{"prompt":"p"}', "3"]) {
      await Deno.writeTextFile(path, `${wrong}\n`);
      assert.throws(
        () => openVoteFile(path),
        /votes\.jsonl:1 as it must have two responses and one/,
      );
    }
  }));

const SCRIPT = await new Deno.Command("script", { args: ["--version"] }).output()
  .then(({ success, stdout }) => success && /util-linux/.test(new TextDecoder().decode(stdout)))
  .catch(() => false);

Deno.test({
  name: `sppo judge --judge human asks in a terminal, stops at q and goes on${
    SCRIPT ? "" : " (skipped: there is no util-linux script, which makes terminals)"
  }`,
  ignore: !SCRIPT,
  fn: () =>
    inTempFolder(async (cwd) => {
      const responses = ["a", "bb", "ccc"];
      await Deno.writeTextFile(`${cwd}/in.jsonl`, JSON.stringify({ prompt: "p", responses }));
      const words = wordsOf([
        ...["judge", "--judge", "human", "--input", "in.jsonl", "--output", "out.jsonl"],
      ]);
      const command = `stty cols 80 rows 20; ${words.map((word) => `'${word}'`).join(" ")}`;
      /** Types a key each time that another question is shown. */
      async function typing(keys: string): Promise<{ code: number; text: string }> {
        const process = new Deno.Command("script", {
          args: ["-qefc", command, "/dev/null"],
          ...{ cwd, stdin: "piped", stdout: "piped", stderr: "null" },
        }).spawn();
        const input = process.stdin.getWriter();
        let text = "", typed = 0;
        for await (const piece of process.stdout.pipeThrough(new TextDecoderStream())) {
          text += piece;
          while (typed < keys.length && text.split("= neither").length > typed + 1) {
            await input.write(new TextEncoder().encode(keys[typed++]));
          }
        }
        await input.close();
        return { code: (await process.status).code, text };
      }
      const stopped = await typing("1q");
      assert.equal(stopped.code, 130, stopped.text);
      // deno-lint-ignore no-control-regex
      assert.match(stopped.text, /\x1b\[\?1049h.*question 1 of 3.*question 2 of 3.*\x1b\[\?1049l/s);
      assert.match(stopped.text, /human: 1 votes, 0 for neither; .* kept in votes\.jsonl/);
      const done = await typing("==");
      assert.equal(done.code, 0, done.text);
      assert.match(done.text, /question 1 of 2/);
      const { preferences } = JSON.parse(await Deno.readTextFile(`${cwd}/out.jsonl`));
      assert.equal(Math.abs(preferences[0][1] - 0.5), 0.5);
      assert.deepEqual([preferences[0][2], preferences[1][2]], [0.5, 0.5]);
    }),
});

Deno.test("sppo refuses people where there is nobody to ask, before any work", () =>
  inTempFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/in.jsonl`, '{"prompt":"p","responses":["a","b"]}');
    const refused = async (...args: readonly string[]) => {
      const { code, stderr } = await sppo(["judge", "--input", "in.jsonl", ...args], { cwd });
      assert.equal(code, 2, stderr);
      return stderr;
    };
    assert.match(
      await refused("--judge", "human:ann"),
      /Cannot use the judge human:ann as standard input and standard error must be a terminal: they are not; human:ann@page=0 asks on a page/,
    );
    assert.match(
      await refused("--judge", "0.5*human@page=0 + 0.5*length:1-", "--estimator", "scores"),
      /as it must give logits for --estimator scores/,
    );
  }));
