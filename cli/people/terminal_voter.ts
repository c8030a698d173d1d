/**
 * People asked in a terminal: two responses side by side, a key for each answer.
 *
 * @module
 */

import type { Prompt } from "../../core/policy.ts";
import {
  type HumanAnswer,
  type HumanQuestion,
  takingTurns,
  unlessAborted,
  type Voter,
  type VotingSession,
} from "../../judges/mod.ts";
import { type Measure, plainText, wrapText } from "./wrap_text.ts";

/** A terminal in which keys are seen one by one. */
export interface KeyTerminal {
  /**
   * Begins on a screen of its own: keys come as they are pressed and are not shown. What was typed
   * before is forgotten.
   */
  open(): Promise<void>;
  /** Ends, and shows the terminal as it was. */
  close(): void;
  /** What was typed next; nothing once the input has ended. */
  read(): Promise<string | undefined>;
  /** Shows a text. */
  write(text: string): void;
  /** Its size. */
  size(): { readonly columns: number; readonly rows: number };
  /** Calls when the size changes, until what it returns is called. */
  onResize(listener: () => void): () => void;
}

/** Options of {@linkcode terminalVoter}. */
export interface TerminalVoterOptions {
  /** Columns that a text takes. */
  readonly measure: Measure;
  /** What the key q does: it aborts the signal of the session. */
  readonly stop: () => void;
}

/** A key: an escape sequence, or a character. */
// deno-lint-ignore no-control-regex
const KEY = /\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Z]|[^]/gu;

const ANSWERS: Readonly<Record<string, HumanAnswer>> = {
  "1": "first",
  "2": "second",
  "=": "tie",
  "0": "tie",
  "u": "back",
};

/** Asks in a terminal, one session at a time. */
export function terminalVoter(terminal: KeyTerminal, options: TerminalVoterOptions): Voter {
  const turn = takingTurns();
  return {
    async begin(signal) {
      const end = await turn(signal);
      try {
        await terminal.open();
      } catch (error) {
        end();
        throw error;
      }
      return {
        ...sessionIn(terminal, options),
        [Symbol.dispose]() {
          terminal.close();
          end();
        },
      };
    },
  };
}

function sessionIn(
  terminal: KeyTerminal,
  { measure, stop }: TerminalVoterOptions,
): Pick<VotingSession, "ask"> {
  const keys: string[] = [];
  async function key(signal: AbortSignal | undefined): Promise<string> {
    for (;;) {
      const next = keys.shift();
      if (next !== undefined) return next;
      const typed = await unlessAborted(terminal.read(), signal);
      if (typed === undefined) {
        throw new Error("Cannot ask people as the terminal must stay open: its input has ended");
      }
      keys.push(...typed.match(KEY) ?? []);
    }
  }
  return {
    async ask(question, signal) {
      let top = 0;
      const draw = () => {
        const screen = screenOf(question, terminal.size(), top, measure);
        top = screen.top;
        terminal.write(screen.text);
      };
      const still = terminal.onResize(draw);
      try {
        for (;;) {
          draw();
          const pressed = await key(signal);
          const answer = ANSWERS[pressed.toLowerCase()];
          if (answer !== undefined) return answer;
          const page = Math.max(1, terminal.size().rows - 4);
          if (pressed === "q" || pressed === "Q" || pressed === "\x03") {
            stop();
            signal?.throwIfAborted();
          } else top += SCROLLS[pressed]?.(page) ?? 0;
        }
      } finally {
        still();
      }
    },
  };
}

/** Lines by which keys scroll, of a page of some. */
const SCROLLS: Readonly<Record<string, (page: number) => number>> = {
  "\x1b[A": () => -1,
  "\x1b[B": () => 1,
  "\x1bOA": () => -1,
  "\x1bOB": () => 1,
  "\x1b[5~": (page) => -page,
  "\x1b[6~": (page) => page,
  " ": (page) => page,
  "b": (page) => -page,
};

/** A question on a screen of some size, and the line it begins with, which may not go past its end. */
function screenOf(
  question: HumanQuestion,
  { columns, rows }: { readonly columns: number; readonly rows: number },
  from: number,
  measure: Measure,
): { readonly text: string; readonly top: number } {
  const width = Math.max(9, columns);
  const half = Math.floor((width - 3) / 2);
  const pad = (text: string, to: number) => text + " ".repeat(Math.max(0, to - measure(text)));
  const rule = (mark: string, to: number) => `── ${mark} `.padEnd(to, "─").slice(0, to);
  const left = wrapText(plainText(question.first), half, measure);
  const right = wrapText(plainText(question.second), half, measure);
  const body = [
    ...promptLines(question.prompt.content, width, measure),
    `${dim(rule("1", half + 1))}${dim("┬")}${dim(rule("2", half + 1))}`,
    ...Array.from(
      { length: Math.max(left.length, right.length) },
      (_, row) => `${pad(left[row] ?? "", half)} ${dim("│")} ${right[row] ?? ""}`,
    ),
  ];
  const room = Math.max(1, rows - 3);
  const top = Math.min(Math.max(0, from), Math.max(0, body.length - room));
  const shown = body.slice(top, top + room);
  const fitted = (text: string) => wrapText(text, width, measure)[0]!;
  const scroll = body.length <= room
    ? ""
    : `lines ${top + 1}-${top + shown.length} of ${body.length}: ↑ ↓ space b`;
  const lines = [
    bold(fitted(headline(question))),
    dim(fitted(scroll)),
    ...shown,
    ...new Array<string>(room - shown.length).fill(""),
    bold(fitted("1 is better   2 is better   = neither   u back   q stop")),
  ];
  return { text: `\x1b[H${lines.map((line) => `${line}\x1b[K`).join("\r\n")}\x1b[J`, top };
}

function headline({ name, number, total, later }: HumanQuestion): string {
  const who = name === undefined ? "" : `${plainText(name)}: `;
  const more = later === undefined || later === 0 ? "" : `, then up to ${later} more prompts`;
  return `${who}question ${number} of ${total}${more}`;
}

function promptLines(content: Prompt["content"], width: number, measure: Measure): string[] {
  const turns = typeof content === "string" ? [{ role: "", content }] : content;
  return turns.flatMap(({ role, content }) => [
    ...(role === "" ? [] : [dim(`${role}:`)]),
    ...wrapText(plainText(content), width, measure),
    "",
  ]);
}

const bold = (text: string): string => `\x1b[1m${text}\x1b[22m`;
const dim = (text: string): string => `\x1b[2m${text}\x1b[22m`;
