/**
 * A DeBERTa with a reward head on a backend, against numbers of transformers:
 * `tests/parity/tiny_judges.py` and `whole_models.py`. It carries no adapter, so all its weights are
 * trained here.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type Backend,
  type BoundExecutable,
  gradients,
  type Program,
  ProgramBuilder,
  simplify,
  type Store,
} from "../../../graph/mod.ts";
import { type NamedShape, WEIGHTS } from "../../../models/architectures/layout.ts";
import { OPTIMIZERS } from "../../../models/mod.ts";
import { openRewardModel, type ReaderParts } from "../../../models/preference/response_reader.ts";
import { SequenceReader } from "../../../models/preference/sequence_reader.ts";
import { GRADIENTS } from "../../../models/programs/likelihood.ts";
import {
  gradientNormProgram,
  MOMENTS,
  momentTensors,
  optimizerProgram,
  stepInputs,
} from "../../../models/programs/optimizer.ts";
import { dataFiles, storedNumbers } from "../../models/_tiny_llama.ts";
import {
  type Case,
  float,
  gradientTolerance,
  int,
  near,
  numbersOf,
  type StoredSteps,
} from "./_support.ts";

/** float32 on both sides, of rewards of about 1. */
const REWARDS = 1e-4;
/** Steps amplify roundings. */
const TRAINED = 1e-3;
/** Gradients that are 0 but for rounding, such as of a bias of all keys, are measured against this. */
const SMALL = 1e-2;
/** Stored elements of a gradient, evenly spaced: so many, and one more where they do not come out even. */
const SAMPLES = 6;

interface StoredDeberta extends StoredSteps {
  readonly pairs: readonly (readonly [number, number])[];
  readonly gradients: Readonly<
    Record<
      string,
      { readonly norm: number; readonly largest: number; readonly values: readonly number[] }
    >
  >;
}

interface Loaded {
  readonly parts: ReaderParts;
  readonly stored: StoredDeberta;
  /** Token ids of the texts, and their rewards. */
  readonly texts: readonly { readonly ids: readonly number[]; readonly reward: number }[];
}

async function load(): Promise<Loaded> {
  const files = ["config.json", "model.safetensors", "tokenizer.json"];
  const { rewards } = await storedNumbers<{ rewards: Record<string, Loaded["texts"]> }>(
    "tiny_judges.json",
  );
  return {
    parts: await openRewardModel(await dataFiles("tiny_reward_deberta", files)),
    stored: (await storedNumbers<{ deberta: StoredDeberta }>("whole_models.json")).deberta,
    texts: rewards["tiny_reward_deberta"]!,
  };
}

/** Rewards are read at the first token. */
const sequencesOf = ({ texts }: Loaded) => texts.map(({ ids }) => ({ ids, places: [0] }));

/** The mean over pairs of −log σ(r_better − r_worse), and its gradients in all weights. */
function lossProgram({ trunk, head }: ReaderParts, tensors: readonly NamedShape[]): Program {
  const g = new ProgramBuilder("bradley_terry");
  const rewards = head.outputs(g, trunk.hidden(g, head.places)); // [texts, 1]
  const of = (name: string) => g.gather(rewards, g.input(name, "int32", ["pairs"]));
  const each = g.softplus(g.sub(of("worse"), of("better"))); // [pairs, 1]
  const loss = g.reduceSum(g.mul(each, g.input("weight", "float32", [1])));
  g.output("loss", loss);
  const wrt = tensors.map(({ name, shape }) => g.parameter(WEIGHTS, name, shape));
  const found = gradients(g, loss, wrt);
  tensors.forEach(({ name }, index) => g.update(GRADIENTS, name, found[index]!));
  return simplify(g.build());
}

/** Gradient, norm and optimizer of all weights. */
async function withTraining(
  backend: Backend,
  run: (
    loaded: Loaded,
    step: (rate: number, index: number) => Promise<{ loss: number; norm: number }>,
    gradients: Store,
  ) => Promise<void>,
): Promise<void> {
  const loaded = await load();
  const { parts, stored: { pairs } } = loaded;
  const tensors = [...parts.trunk.tensors, ...parts.head.tensors];
  const optimizer = OPTIMIZERS.adamw;
  await using resources = new AsyncDisposableStack();
  const store = async (entries: Parameters<Backend["createStore"]>[0]) => {
    const made = await backend.createStore(entries);
    resources.defer(() => made.dispose());
    return made;
  };
  const stores = {
    [WEIGHTS]: await store(tensors.map(({ name }) => ({ ...parts.tensors.get(name)!, name }))),
    [GRADIENTS]: await store(tensors),
    [MOMENTS]: await store(momentTensors(optimizer, tensors)),
  };
  const bind = async (program: Program): Promise<BoundExecutable> => {
    const executable = await backend.compile(program);
    resources.defer(() => executable.dispose());
    const scopes = new Set(
      [...program.parameters, ...program.updates].map(({ scope }) => scope),
    );
    return executable.bind(
      Object.fromEntries(Object.entries(stores).filter(([scope]) => scopes.has(scope))),
    );
  };
  const gradient = await bind(lossProgram(parts, tensors));
  const norm = await bind(gradientNormProgram(tensors));
  const update = await bind(optimizerProgram(optimizer, { scope: WEIGHTS, tensors }));
  const inputs = {
    ...parts.trunk.pack(sequencesOf(loaded)),
    better: int([pairs.length], ...pairs.map(([better]) => better)),
    worse: int([pairs.length], ...pairs.map(([, worse]) => worse)),
    weight: float([1], 1 / pairs.length),
  };
  await run(loaded, async (rate, index) => {
    const { loss } = await gradient.run(inputs);
    const { squares } = await norm.run({});
    const found = {
      loss: loss!.data[0]!,
      norm: Math.sqrt(numbersOf(squares).reduce((sum, square) => sum + square, 0)),
    };
    const numbers = stepInputs(optimizer, index, rate, 1);
    await update.run(Object.fromEntries(
      Object.entries(numbers).map(([name, value]) => [name, float([1], value)] as const),
    ));
    return found;
  }, stores[GRADIENTS]);
}

/** Scores and learns as the references do. */
export const debertaCases: readonly Case[] = [
  {
    name: "a DeBERTa gives transformers' rewards",
    async run(backend) {
      const loaded = await load();
      const { trunk, head, tensors } = loaded.parts;
      const reader = await SequenceReader.load(trunk, head, tensors, backend);
      try {
        const read = await reader.read(sequencesOf(loaded));
        loaded.texts.forEach(({ reward }, index) =>
          near(read[index]!, [reward], REWARDS, `reward ${index}`, 1)
        );
      } finally {
        await reader.dispose();
      }
    },
  },
  {
    name: "the Bradley–Terry loss of a DeBERTa has PyTorch's gradients",
    run: (backend) =>
      withTraining(backend, async ({ stored }, step, gradients) => {
        const tolerance = gradientTolerance(backend);
        const { loss } = await step(0, 1);
        near([loss], [stored.steps[0]!.loss], tolerance, "loss");
        assert.deepEqual(new Set(gradients.names), new Set(Object.keys(stored.gradients)));
        for (const [name, { norm, largest, values }] of Object.entries(stored.gradients)) {
          const found = await gradients.read(name);
          const stride = Math.max(1, Math.floor(found.length / SAMPLES));
          const samples = found.filter((_, at) => at % stride === 0);
          near(samples, values, tolerance, name, Math.max(largest, SMALL));
          const length = Math.sqrt(found.reduce((sum, x) => sum + x * x, 0));
          near([length], [norm], tolerance, `norm of ${name}`, SMALL);
        }
      }),
  },
  {
    name: "three steps of a DeBERTa have PyTorch's losses and gradient norms",
    run: (backend) =>
      withTraining(backend, async ({ stored: { lr, steps } }, step) => {
        for (const [index, { loss, grad_norm }] of steps.entries()) {
          const found = await step(lr, index + 1);
          near([found.loss], [loss], TRAINED, `loss of step ${index + 1}`);
          near([found.norm], [grad_norm], TRAINED, `grad_norm of step ${index + 1}`);
        }
      }),
  },
];
