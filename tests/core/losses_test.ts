import assert from "node:assert/strict";
import {
  type Loss,
  losses,
  type LossName,
  lossOf,
  type LossSpec,
  numbers,
  type StepGroup,
  stepLoss,
  stepSlopes,
} from "../../core/mod.ts";
import { randomStream } from "../../core/random.ts";

/** Sums of numbers of the order of 1. */
const TOLERANCE = 1e-12;
/** Relative, of the stored numbers: float64 there too. */
const PARITY_TOLERANCE = 1e-6;
/** Of central differences with a step of 1e-5. */
const DIFFERENCE_TOLERANCE = 1e-6;

const against = "previous";

/** An example of each. */
const SPECS: { readonly [N in LossName]: LossSpec & { readonly name: N } } = {
  sppo: { name: "sppo", beta: 0.5 },
  "sppo-hard": { name: "sppo-hard", beta: 0.5, against },
  sft: { name: "sft" },
  dpo: { name: "dpo", beta: 0.5, against, labelSmoothing: 0.1 },
  hinge: { name: "hinge", beta: 0.5, against },
  robust: { name: "robust", beta: 0.5, against, labelSmoothing: 0.1 },
  ipo: { name: "ipo", beta: 0.5, against },
  "ipo-mean": { name: "ipo-mean", beta: 0.5, against },
  "kto-pair": { name: "kto-pair", beta: 0.5, against },
  simpo: { name: "simpo", beta: 2, margin: 0.5 },
  orpo: { name: "orpo", beta: 0.3 },
  "policy-gradient": { name: "policy-gradient", beta: 0.5, clip: 0.2 },
};

function pair(
  chosen: { logProb?: number; logRatio?: number; target?: number; tokens?: number },
  rejected: { logProb?: number; logRatio?: number; target?: number; tokens?: number },
): StepGroup<number> {
  const plain = { logProb: -6, logRatio: 0, target: 0, tokens: 2, weight: 0.5 };
  return [{ ...plain, ...chosen }, { ...plain, ...rejected }];
}

const near = (actual: number, expected: number, tolerance = TOLERANCE, what = "") =>
  assert.ok(
    Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: ${actual}, expected ${expected}`,
  );

const at = (spec: LossSpec, ...groups: StepGroup<number>[]) =>
  stepLoss(numbers, lossOf(spec), groups);

Deno.test("losses have the limits that are worked out by hand", () => {
  const equal = pair({}, {});
  const apart = pair({ logRatio: 1e3 }, { logRatio: -1e3 });
  const wrong = pair({ logRatio: -1e3 }, { logRatio: 1e3 });

  // At equal log-ratios σ(0) = ½: log 2; far apart 0 with the right order, β · 2000 with the wrong one.
  const dpo: LossSpec = { name: "dpo", beta: 0.5, against, labelSmoothing: 0 };
  near(at(dpo, equal), Math.LN2);
  near(at(dpo, apart), 0);
  near(at(dpo, wrong), 1000);
  // Smoothing at equal log-ratios changes nothing; far apart a share ε pays β · 2000.
  near(at({ ...dpo, labelSmoothing: 0.1 }, equal), Math.LN2);
  near(at({ ...dpo, labelSmoothing: 0.1 }, apart), 100);
  // Robust: the expectation over labels flipped with probability ε of its loss is DPO's clean loss.
  const robust: LossSpec = { ...dpo, name: "robust", labelSmoothing: 0.2 };
  const some = pair({ logRatio: 0.7 }, { logRatio: -0.4 });
  const flipped: StepGroup<number> = [some[1]!, some[0]!];
  near(0.8 * at(robust, some) + 0.2 * at(robust, flipped), at(dpo, some));

  // Hinge: 1 at equal log-ratios, 0 from a margin of 1/β on.
  const hinge: LossSpec = { name: "hinge", beta: 0.5, against };
  near(at(hinge, equal), 1);
  near(at(hinge, pair({ logRatio: 2 }, {})), 0);
  near(at(hinge, pair({ logRatio: 1 }, {})), 0.5);

  // IPO is 0 at a margin of 1/2β = 1, and 1 at none; per token the margin is of means.
  const ipo: LossSpec = { name: "ipo", beta: 0.5, against };
  near(at(ipo, equal), 1);
  near(at(ipo, pair({ logRatio: 0.75 }, { logRatio: -0.25 })), 0);
  near(at({ ...ipo, name: "ipo-mean" }, pair({ logRatio: 6, tokens: 6 }, {})), 0);
  near(at({ ...ipo, name: "ipo-mean" }, pair({ logRatio: 6, tokens: 3 }, {})), 1);

  // SPPO: half the sum of squares of a pair; hard: the whole sum, with targets ±1/2β.
  near(at({ name: "sppo", beta: 1 }, pair({ target: 2 }, { target: -2 })), 4);
  near(at({ name: "sppo-hard", beta: 0.25, against }, equal), 8);
  near(at({ name: "sppo-hard", beta: 0.25, against }, pair({ logRatio: 2 }, { logRatio: -2 })), 0);

  // KTO: σ(0) = ½ on both sides where all log-ratios are 0; 0 when both are far on their sides and
  // the reference points, max(0, mean of the other half), do not follow: z_l = 0 but z_w = 1000 does.
  const kto: LossSpec = { name: "kto-pair", beta: 0.5, against };
  near(at(kto, equal, equal), 0.5);
  near(at(kto, apart), 0);
  near(at(kto, wrong), 1);

  // SimPO: means −3 and −3, so the margin alone: −log σ(−0.5). ORPO: odds alike: 3 + β log 2.
  near(at({ name: "simpo", beta: 2, margin: 0.5 }, equal), Math.log1p(Math.exp(0.5)));
  near(at({ name: "orpo", beta: 0.3 }, equal), 3 + 0.3 * Math.LN2);
  // Odds of ½ and ¼ are 1 and ⅓: log 3.
  const odds = pair({ logProb: -Math.LN2, tokens: 1 }, { logProb: -2 * Math.LN2, tokens: 1 });
  near(at({ name: "orpo", beta: 1 }, odds), Math.LN2 + Math.log(4 / 3));

  // The token likelihood of a pair is the mean of both; of one response it is that.
  near(at({ name: "sft" }, [{ ...equal[0]!, weight: 1 }]), 6);

  // Policy gradient: −A at ratio 1; the gain is capped at 1 + ε, the pain of A < 0 is not.
  const gradient: LossSpec = { name: "policy-gradient", beta: 1, clip: 0.2 };
  const one = (logRatio: number, target: number): StepGroup<number> => [
    { ...equal[0]!, logRatio, target, weight: 1 },
  ];
  near(at(gradient, one(0, 3)), -3);
  near(at(gradient, one(Math.log(2), 3)), -3.6);
  near(at(gradient, one(Math.log(2), -3)), 6);
  near(at(gradient, one(-Math.log(2), 3)), -1.5);
  near(at(gradient, one(-Math.log(2), -3)), 2.4);
});

Deno.test("stepSlopes() are the derivatives of stepLoss()", () => {
  const random = randomStream(7, "losses");
  for (const spec of Object.values(SPECS)) {
    const loss = lossOf(spec);
    const groups = Array.from({ length: 3 }, () =>
      Array.from({ length: 2 }, () => ({
        logProb: -1 - 5 * random.next(),
        logRatio: random.next() - 0.4,
        target: 2 * random.next() - 1,
        tokens: 1 + Math.floor(6 * random.next()),
        weight: 0.2 + random.next(),
      })));
    const slopes = stepSlopes(loss, groups);
    const step = 1e-5;
    const moved = (group: number, index: number, by: number) =>
      stepLoss(
        numbers,
        loss,
        groups.with(
          group,
          groups[group]!.with(index, {
            ...groups[group]![index]!,
            logProb: groups[group]![index]!.logProb + by,
            logRatio: groups[group]![index]!.logRatio + by,
          }),
        ),
      );
    groups.forEach((group, g) =>
      group.forEach((_, index) => {
        const expected = (moved(g, index, step) - moved(g, index, -step)) / (2 * step);
        near(slopes[2 * g + index]!, expected, DIFFERENCE_TOLERANCE, spec.name);
      })
    );
  }
});

interface Entry {
  readonly beta: number;
  readonly label_smoothing?: number;
  readonly margin?: number;
  readonly clip?: number;
  readonly loss: number;
  readonly losses?: readonly number[];
  readonly rewards?: readonly (readonly number[])[];
  readonly gradient: readonly (readonly number[])[];
  readonly advantages?: readonly (readonly number[])[];
}

interface Stored {
  readonly tokens: readonly (readonly number[])[];
  readonly log_probs: readonly (readonly number[])[];
  readonly reference: readonly (readonly number[])[];
  readonly win_rates: readonly (readonly number[])[];
  readonly chosen_probs: readonly number[];
  readonly sppo_repository: Readonly<Record<string, Entry>>;
  readonly spin_repository: Readonly<Record<string, Entry>>;
  readonly trl: Readonly<Record<string, Entry>>;
}

const stored: Stored = JSON.parse(
  await Deno.readTextFile(new URL("../parity/data/objectives.json", import.meta.url)),
);

/** Goal of a response: [pair][chosen, rejected]. */
type Goals = (group: number, side: 0 | 1) => number;
const none: Goals = () => 0;

/** [what is stored, our loss, its targets, the share of a response]. */
function parityCases(): [string, Entry, Loss, Goals, number][] {
  const { sppo_repository: sppo, spin_repository: spin, trl } = stored;
  const contrast = ({ beta }: Entry) => ({ beta, against }) as const;
  const smoothed = (entry: Entry) => ({
    ...contrast(entry),
    labelSmoothing: entry.label_smoothing ?? 0,
  });
  const winRate: Goals = (group, side) => (stored.win_rates[group]![side]! - 0.5) / sppo.sppo!.beta;
  const single: Goals = (group, side) =>
    (side === 0 ? 1 : -1) * (stored.chosen_probs[group]! - 0.5) / sppo.sppo_single!.beta;
  return [
    ["SPPO sppo", sppo.sppo!, losses.sppo(sppo.sppo!), winRate, 0.5],
    ["SPPO sppo_single", sppo.sppo_single!, losses.sppo(sppo.sppo_single!), single, 0.5],
    ["SPPO sigmoid", sppo.sigmoid!, losses.dpo(smoothed(sppo.sigmoid!)), none, 0.5],
    [
      ...["SPPO sigmoid, smoothed", sppo.sigmoid_smoothed!] as const,
      ...[losses.dpo(smoothed(sppo.sigmoid_smoothed!)), none, 0.5] as const,
    ],
    ["SPPO hinge", sppo.hinge!, losses.hinge(contrast(sppo.hinge!)), none, 0.5],
    ["SPPO ipo", sppo.ipo!, losses.ipo(contrast(sppo.ipo!)), none, 0.5],
    ["SPPO kto_pair", sppo.kto_pair!, losses["kto-pair"](contrast(sppo.kto_pair!)), none, 0.5],
    ["SPIN sigmoid", spin.sigmoid!, losses.dpo(smoothed(spin.sigmoid!)), none, 0.5],
    ["SPIN hinge", spin.hinge!, losses.hinge(contrast(spin.hinge!)), none, 0.5],
    ["TRL sigmoid", trl.sigmoid!, losses.dpo(smoothed(trl.sigmoid!)), none, 0.5],
    ["TRL hinge", trl.hinge!, losses.hinge(contrast(trl.hinge!)), none, 0.5],
    ["TRL robust", trl.robust!, losses.robust(smoothed(trl.robust!)), none, 0.5],
    ["TRL ipo", trl.ipo!, losses["ipo-mean"](contrast(trl.ipo!)), none, 0.5],
    [
      ...["TRL sppo_hard", trl.sppo_hard!] as const,
      ...[losses["sppo-hard"](contrast(trl.sppo_hard!)), none, 0.5] as const,
    ],
    [
      ...["TRL simpo", trl.simpo!] as const,
      ...[losses.simpo({ beta: trl.simpo!.beta, margin: trl.simpo!.margin! }), none, 0.5] as const,
    ],
    ["TRL orpo", trl.orpo!, losses.orpo(trl.orpo!), none, 0.5],
    [
      ...["TRL rloo", trl.rloo!] as const,
      losses["policy-gradient"]({ beta: 1, clip: trl.rloo!.clip! }),
      (group, side) => trl.rloo!.advantages![group]![side]!,
      0.5,
    ],
  ];
}

for (const [name, entry, loss, goals, weight] of parityCases()) {
  Deno.test(`losses give the loss, rewards and gradient of the reference: ${name}`, () => {
    const groups = stored.log_probs.map((sides, group) =>
      sides.map((logProb, side) => ({
        logProb,
        logRatio: logProb - stored.reference[group]![side]!,
        tokens: stored.tokens[group]![side]!,
        target: goals(group, side as 0 | 1),
        weight,
      }))
    );
    near(stepLoss(numbers, loss, groups), entry.loss, PARITY_TOLERANCE, "loss");
    // The repository's kto_pair lists the losses of the chosen, then those of the rejected responses.
    if (entry.losses !== undefined && loss.per !== "batch") {
      groups.forEach((group, index) =>
        near(stepLoss(numbers, loss, [group]), entry.losses![index]!, PARITY_TOLERANCE, "losses")
      );
    }
    groups.forEach((group, index) =>
      group.forEach((response, side) => {
        if (entry.rewards === undefined) return;
        near(loss.reward!(response), entry.rewards[index]![side]!, PARITY_TOLERANCE, "reward");
      })
    );
    stepSlopes(loss, groups).forEach((slope, index) =>
      near(slope, entry.gradient.flat()[index]!, PARITY_TOLERANCE, `gradient ${index}`)
    );
  });
}

Deno.test("lossOf() refuses parameters out of range", () => {
  for (
    const [spec, message] of [
      [
        { name: "dpo", beta: 0, against, labelSmoothing: 0 },
        /as beta must be a positive number: 0/,
      ],
      [
        { name: "robust", beta: 1, against, labelSmoothing: 0.5 },
        /^Cannot use the loss robust as the share of wrong labels must be in \[0, 0.5\): 0.5$/,
      ],
      [{ name: "simpo", beta: 1, margin: -1 }, /as its margin must be a number of at least 0: -1/],
      [{ name: "policy-gradient", beta: 1, clip: 0 }, /as clip must be a positive number: 0/],
    ] as const
  ) assert.throws(() => lossOf(spec), { name: "RangeError", message });
});

Deno.test("losses of pairs refuse groups that are none", () => {
  for (const spec of Object.values(SPECS).filter((each) => lossOf(each).per !== "response")) {
    const [one] = pair({}, {});
    assert.throws(() => at(spec, [one!, one!, one!]), {
      name: "RangeError",
      message:
        "Cannot compare responses as a group must be a pair, the chosen one first: 3 of them",
    });
  }
});
