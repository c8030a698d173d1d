/**
 * `sppo judge train`: fits a judge on labelled pairs.
 *
 * @module
 */

import { join } from "node:path";
import type { Prompt } from "../../core/policy.ts";
import {
  type Agreement,
  agreement,
  generalPreferenceJudge,
  type JudgedPair,
  labelTriads,
  rewardJudge,
} from "../../judges/mod.ts";
import {
  checkpointTrunk,
  judgeFiles,
  judgeParts,
  type LabelledGroup,
  labelledGroup,
  labelledPairs,
  type LoraShape,
  PreferenceEmbedder,
  type PreferenceHead,
  ResponseReader,
  type TrainedJudge,
  trainJudge,
} from "../../models/mod.ts";
import type { Backend } from "../../graph/backend.ts";
import type { ReaderParts } from "../../models/mod.ts";
import { divide } from "../held_out.ts";
import { loadBackend, loadCheckpoint } from "../load_model.ts";
import { judgeTrainOptions } from "../options/tables.ts";
import { resolveValues } from "../options/parse.ts";
import type { Values } from "../options/spec.ts";
import { toPrompt } from "../prompts.ts";
import { readTable } from "../table_file.ts";
import type { Command } from "./command.ts";

type Options = typeof judgeTrainOptions;

/** A group and its prompt. */
interface Labelled {
  readonly prompt: Prompt;
  readonly group: LabelledGroup;
}

/** What `report.json` holds. */
interface Report extends Agreement {
  /** Held-out prompts. */
  readonly prompts: number;
  /** Triples of responses whose three pairs have labels, and those of them that go round. */
  readonly triads: number;
  readonly cyclic_triads: number;
}

/** The command. */
export const judgeTrainCommand: Command<Options> = {
  name: "judge train",
  summary: "fit a judge on labelled pairs",
  description:
    `Reads {"prompt","responses","preferences"} a line, as sppo judge writes them (or "verdicts", K×K: row shown
first, column second; 1 the first is better, 2 the second, 3 a tie), or {"prompt","chosen","rejected"}, and
fits a head on the model, or a head with an adapter. A pair asked in both orders is one pair with the mean of
both answers. --out gets the judge, for --judge reward:DIR or gpm:DIR, and report.json: accuracy,
calibration, and how much of the held-out prompts goes round in circles.`,
  options: judgeTrainOptions,
  async prepare(context) {
    const values = resolveValues(judgeTrainOptions, context.layers);
    const { progress, signal, resources, print } = context;
    const head = headOf(values);
    const { train, heldOut } = await readLabels(values);
    const { checkpoint } = await loadCheckpoint(values, context);
    const trunk = await checkpointTrunk(checkpoint);
    const lora = loraOf(values);
    if (lora) trunk.trunk.adapterTensors(lora);
    const backend = await loadBackend(values, resources);
    return {
      async run() {
        const groups = train.map(({ group }) => group);
        const steps = trainJudge(trunk, backend, groups, {
          head,
          ...(lora ? { lora } : {}),
          epochs: values.epochs,
          learningRate: values.learningRate ?? (lora ? 2e-4 : 2e-3),
          weightDecay: values.weightDecay,
          pairsPerStep: values.pairsPerStep,
          maxTokens: values.maxTokens,
          tokensPerBatch: values.tokensPerBatch,
          seed: values.seed,
          signal,
          onProgress: (done, total) => progress.update("reading", done, total, "responses"),
        });
        let judge: TrainedJudge;
        for (;;) {
          const { done, value } = await steps.next();
          if (done) {
            judge = value;
            break;
          }
          progress.update(
            "training",
            value.step,
            value.totalSteps,
            `steps, loss ${value.loss.toFixed(4)}`,
          );
        }
        progress.finish();
        const report = await tryOn(heldOut, judgeParts(trunk, judge), head, backend, signal);
        await Deno.mkdir(values.out, { recursive: true });
        const files = {
          ...judgeFiles(judge, values.model),
          "report.json": new TextEncoder().encode(`${JSON.stringify(report, null, 2)}\n`),
        };
        for (const [name, bytes] of Object.entries(files)) {
          await Deno.writeFile(join(values.out, name), bytes);
        }
        print(reportText(report));
        print(`--judge ${head.kind === "bradley-terry" ? "reward" : "gpm"}:${values.out}`);
      },
    };
  },
};

async function readLabels(
  values: Values<Options>,
): Promise<{ readonly train: readonly Labelled[]; readonly heldOut: readonly Labelled[] }> {
  const read = async (path: string): Promise<Labelled[]> => {
    const items: Labelled[] = [];
    for await (const record of readTable(path)) {
      const prompt = toPrompt(record, values.promptColumn);
      items.push({ prompt, group: labelledGroup(record.fields, prompt.content, record.where) });
    }
    return items;
  };
  const items = await read(values.labels);
  const unique = new Map(items.map(({ prompt }) => [JSON.stringify(prompt.content), prompt]));
  const division = await divide([...unique.values()], values.heldOut, {
    column: values.promptColumn,
    seed: values.seed,
  });
  if (!/^(\d+|\d*\.\d+)$/.test(values.heldOut)) {
    return { train: items, heldOut: await read(values.heldOut) };
  }
  const apart = new Set(division.heldOut.map(({ content }) => JSON.stringify(content)));
  const isHeldOut = ({ prompt }: Labelled) => apart.has(JSON.stringify(prompt.content));
  return {
    train: items.filter((item) => !isHeldOut(item)),
    heldOut: items.filter(isHeldOut),
  };
}

function headOf({ head, dimension, tau }: Values<Options>): PreferenceHead {
  if (head === "bradley-terry") return { kind: head };
  if (dimension % 2 !== 0) {
    throw new RangeError(`Cannot start as --dimension must be even: ${dimension}`);
  }
  return { kind: head, dimension, tau };
}

function loraOf(values: Values<Options>): LoraShape | undefined {
  if (values.trainable === "head") return undefined;
  const { loraRank: rank, loraAlpha, loraTargets } = values;
  return { rank, alpha: loraAlpha ?? 2 * rank, targets: loraTargets };
}

/** How a trained judge does on held-out groups. */
async function tryOn(
  labelled: readonly Labelled[],
  parts: ReaderParts,
  head: PreferenceHead,
  backend: Backend,
  signal: AbortSignal,
): Promise<Report> {
  const model = head.kind === "bradley-terry"
    ? await ResponseReader.load(parts, backend, { signal })
    : await PreferenceEmbedder.load(parts, backend, { signal });
  try {
    const oracle = model instanceof ResponseReader
      ? rewardJudge(model)
      : generalPreferenceJudge(model, head.kind === "bradley-terry" ? {} : { tau: head.tau });
    const asked = labelled.map(({ prompt, group }) => ({
      prompt,
      responses: group.responses.map((text) => ({ text })),
    }));
    const judged: JudgedPair[] = [];
    let triads = 0, cyclic = 0, index = 0;
    for await (const { preferences, size } of oracle.compare(asked, { signal })) {
      const { group } = labelled[index++]!;
      const table = group.responses.map(() => group.responses.map((): number | null => null));
      for (const { left, right, label } of labelledPairs([group])) {
        judged.push({ preference: preferences[left * size + right]!, label });
        table[left]![right] = label;
        table[right]![left] = 1 - label;
      }
      const counted = labelTriads(table);
      triads += counted.triads;
      cyclic += counted.cyclic;
    }
    return { prompts: labelled.length, ...agreement(judged), triads, cyclic_triads: cyclic };
  } finally {
    await model.dispose();
  }
}

function reportText(report: Report): string {
  const { prompts, pairs, decided, accuracy, brier, logLoss, triads, cyclic_triads } = report;
  const number = (value: number) => Number.isNaN(value) ? "-" : value.toFixed(3);
  return [
    `held out: ${prompts} prompts, ${pairs} pairs, ${decided} decided`,
    `accuracy ${number(accuracy)}, Brier ${number(brier)}, log loss ${number(logLoss)}`,
    `labels that go round: ${cyclic_triads} of ${triads} triads`,
    "favourite's preference   pairs   mean    label",
    ...report.reliability.map(({ low, high, pairs, preference, label }) =>
      `${low.toFixed(1)} to ${high.toFixed(1)}${" ".repeat(15)}${`${pairs}`.padStart(5)}   ` +
      `${number(preference).padEnd(8)}${number(label)}`
    ),
  ].join("\n");
}
