/**
 * The commands.
 *
 * @module
 */

import type { Command } from "./command.ts";
import { benchCommand } from "./bench.ts";
import { exportCommand } from "./export.ts";
import { compareCommand } from "./compare.ts";
import { gameCommand } from "./game.ts";
import { generateCommand } from "./generate.ts";
import { infoCommand } from "./info.ts";
import { judgeCommand } from "./judge.ts";
import { judgeCompareCommand } from "./judge_compare.ts";
import { judgeTrainCommand } from "./judge_train.ts";
import { scoreCommand } from "./score.ts";
import { trainCommand } from "./train.ts";

/** All commands in the order of the help. */
export const commands: readonly Command[] = [
  trainCommand,
  generateCommand,
  scoreCommand,
  judgeCommand,
  judgeTrainCommand,
  judgeCompareCommand,
  gameCommand,
  exportCommand,
  compareCommand,
  infoCommand,
  benchCommand,
];
