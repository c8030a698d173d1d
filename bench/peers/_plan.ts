/**
 * The comparisons of `deno task bench:peers`: their scripts, what these are given and what they need.
 *
 * @module
 */

import { fileURLToPath } from "node:url";

/** Where things are, outside the repository. */
export interface PeerPlaces {
  /** The checkpoint that both sides load. */
  readonly model: string;
  /** Folder of a Python environment. */
  readonly venv: string;
  /** Folder in which npm packages are installed. */
  readonly npm: string;
  /** Folder for weights that a comparison makes. */
  readonly made: string;
}

/** A Python package with its version, and whether it is built for this machine. */
export interface PythonPackage {
  readonly name: string;
  readonly version: string;
  readonly built?: boolean;
}

/** One comparison. */
export interface PeerComparison {
  /** Of the section of docs/performance.md too. */
  readonly name: string;
  /** In this folder. */
  readonly script: string;
  /** Python packages: all of tests/parity/requirements.txt, some of them by name, or none. */
  readonly python: "all" | readonly string[];
  /** Packages beside those. */
  readonly built?: PythonPackage;
  /** An npm package. */
  readonly npm?: string;
  /** Arguments of the script. */
  args(places: PeerPlaces): readonly string[];
}

/** llama.cpp at the commit that this version of its binding holds. */
const LLAMA_CPP: PythonPackage = { name: "llama-cpp-python", version: "0.3.36", built: true };
const NODE_LLAMA_CPP = "node-llama-cpp@3.22.1";

/** Path of a virtual environment's Python. */
export function pythonOf(venv: string): string {
  return Deno.build.os === "windows" ? `${venv}/Scripts/python.exe` : `${venv}/bin/python`;
}

const common = ({ model, venv }: PeerPlaces) => ["--model", model, "--python", pythonOf(venv)];

/** In the order in which they run; each takes up to three minutes on two cores that do nothing else. */
export const COMPARISONS: readonly PeerComparison[] = [
  {
    name: "lora_step",
    script: "train_step.ts",
    python: "all",
    args: (places) => [...common(places), "--fit", "lora", "--rounds", "6"],
  },
  {
    name: "full_step",
    script: "train_step.ts",
    python: "all",
    args: (places) => [...common(places), "--fit", "all", "--rounds", "4"],
  },
  {
    name: "sppo_epoch",
    script: "sppo_epoch.ts",
    python: "all",
    args: common,
  },
  {
    name: "generate",
    script: "generate.ts",
    python: "all",
    args: (places) => [...common(places), "--rounds", "2"],
  },
  {
    name: "llamacpp",
    script: "llamacpp.ts",
    python: "all",
    built: LLAMA_CPP,
    args: (places) => [...common(places), "--rounds", "2"],
  },
  {
    name: "node_llamacpp",
    script: "llamacpp.ts",
    python: [],
    npm: NODE_LLAMA_CPP,
    args: (places) => [
      ...["--model", places.model, "--packages", places.npm],
      ...["--rows", "1,5,20", "--rounds", "3"],
    ],
  },
  {
    name: "pair_rm",
    script: "pair_rm.ts",
    python: "all",
    args: ({ venv, made }) => [
      ...["--model", `${made}/pair_rm`, "--python", pythonOf(venv), "--rounds", "2"],
    ],
  },
  {
    name: "game_dynamics",
    script: "game_dynamics.ts",
    python: ["numpy"],
    args: ({ venv }) => ["--python", pythonOf(venv)],
  },
  ...["small", "large"].map((size): PeerComparison => ({
    name: `web_training_${size}`,
    script: "web_training.ts",
    python: [],
    args: () => ["--sizes", size, "--rounds", "5", "--steps", "3"],
  })),
  {
    name: "linear_cost",
    script: "../linear_cost.ts",
    python: [],
    args: () => ["--rounds", "3"],
  },
  {
    name: "sampled_adapter",
    script: "../sampled_adapter.ts",
    python: [],
    args: ({ model }) => ["--model", model, "--rounds", "2"],
  },
];

/** The comparisons of some names, all when none is given. @throws {RangeError} When a name is unknown. */
export function comparisonsOf(names: readonly string[]): readonly PeerComparison[] {
  const known = COMPARISONS.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new RangeError(
      `Cannot compare as --only must name comparisons (${known.join(", ")}): ${unknown}`,
    );
  }
  return COMPARISONS.filter(({ name }) => names.length === 0 || names.includes(name));
}

/** The command that runs a comparison and writes its section of a document. */
export function commandOf(
  { script, args }: PeerComparison,
  places: PeerPlaces,
  document: string,
): readonly string[] {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const permissions = [
    "--allow-read",
    "--allow-write",
    "--allow-ffi",
    "--allow-run",
    "--allow-env",
    "--allow-sys=cpus,loadavg",
  ];
  return ["run", ...permissions, path, ...args(places), "--markdown", document];
}
