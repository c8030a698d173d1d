/**
 * What do packed copies of the weights give on the onnx backend? It makes them of constants that few
 * rows are multiplied with; `packing: "always"` makes them of all.
 *
 * @module
 */

import { createOnnxBackend } from "../backends/onnx/mod.ts";
import { measureBackend } from "../cli/bench/contestants.ts";
import { benchContest } from "./_question.ts";

const contestants = [
  await measureBackend("few rows packed", () => createOnnxBackend()),
  await measureBackend("all packed", () => createOnnxBackend({ packing: "always" })),
];
benchContest("products", { contestants, leftOut: [] }, contestants[0]!.name);
