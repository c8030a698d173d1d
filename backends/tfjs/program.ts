/**
 * A program made ready for tfjs: its equations in order, each value freed after its last use.
 *
 * @module
 */

import type { HostTensor } from "../../graph/backend.ts";
import { decompose } from "../../graph/decompose.ts";
import type { DeviceConstant, DeviceProgram, DeviceResult } from "../../graph/device.ts";
import { evaluateShape, type Sizes } from "../../graph/dim.ts";
import type { Equation, Primitive, Program, Value } from "../../graph/program.ts";
import { simplify } from "../../graph/simplify.ts";
import type { Kernels } from "./kernels.ts";
import type { TensorInfo } from "./open.ts";
import { Products, type TransposedConstants } from "./products.ts";
import { hasRule, type Rule, rules } from "./rules/mod.ts";

/** After so long other tasks of the thread get a turn: kernels of a CPU hold it. */
const TURN_MS = 50;

/** Values that depend on sizes alone, such as masks; kept while the sizes stay. */
interface Kept {
  readonly sizes: string;
  readonly values: ReadonlyMap<number, TensorInfo>;
}

/** See the module's text. */
export class TfjsProgram implements DeviceProgram<TensorInfo> {
  readonly #kernels: Kernels;
  readonly #program: Program;
  readonly #products: Products;
  readonly #constants: ReadonlyMap<number, TensorInfo>;
  readonly #bound: readonly Value[];
  /** Equations that only sizes matter to, and the others. */
  readonly #still: readonly Equation[];
  readonly #moving: readonly Equation[];
  /** Values to free after each of the moving equations. */
  readonly #ends: readonly (readonly number[])[];
  #kept: Kept | undefined;

  constructor(
    kernels: Kernels,
    transposed: TransposedConstants,
    original: Program,
    constants: readonly DeviceConstant<TensorInfo>[],
  ) {
    const program = simplify(decompose(original, hasRule));
    this.#kernels = kernels;
    this.#program = program;
    const constantOf = ({ scope, name }: { scope: string; name: string }) =>
      constants.find(({ parameter }) => parameter.scope === scope && parameter.name === name);
    this.#constants = new Map(
      program.parameters.flatMap((parameter) => {
        const constant = constantOf(parameter);
        return constant ? [[parameter.value.id, constant.tensor]] : [];
      }),
    );
    this.#bound = program.parameters
      .filter((parameter) => !constantOf(parameter)).map(({ value }) => value);
    this.#products = new Products(
      kernels,
      new Set(constants.map(({ tensor }) => tensor.dataId)),
      transposed,
    );
    const still = stillEquations(program);
    this.#still = program.equations.filter((one) => still.has(one));
    this.#moving = program.equations.filter((one) => !still.has(one));
    this.#ends = lastUses(program, this.#moving);
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    parameters: readonly TensorInfo[],
    sizes: Sizes,
    signal: AbortSignal | undefined,
  ): Promise<DeviceResult<TensorInfo>> {
    const k = this.#kernels;
    const values = new Map<number, TensorInfo>(this.#constants);
    this.#bound.forEach(({ id }, index) => values.set(id, parameters[index]!));
    for (const [id, tensor] of this.#stillValues(sizes)) values.set(id, tensor);
    /** What this run made and has to give up. */
    const own = new Map<number, TensorInfo>();
    const updates: TensorInfo[] = [];
    try {
      for (const { name, value } of this.#program.inputs) {
        const tensor = this.#input(inputs[name]!, value);
        values.set(value.id, tensor);
        own.set(value.id, tensor);
      }
      let turn = performance.now();
      for (const [at, equation] of this.#moving.entries()) {
        const result = this.#evaluate(equation, values, sizes);
        const [{ id }] = equation.results as [Value];
        values.set(id, result);
        own.set(id, result);
        for (const dead of this.#ends[at]!) {
          const tensor = own.get(dead);
          if (!own.delete(dead)) continue;
          k.free(tensor!);
          values.delete(dead);
        }
        if (performance.now() - turn > TURN_MS) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          signal?.throwIfAborted();
          turn = performance.now();
        }
      }
      const outputs: HostTensor[] = [];
      for (const { value } of this.#program.outputs) {
        outputs.push(await this.#output(values.get(value.id)!));
      }
      for (const { next } of this.#program.updates) {
        updates.push(k.retain(values.get(next.id)!));
      }
      return { outputs, updates };
    } finally {
      k.free(...own.values());
    }
  }

  dispose(): void {
    this.#products.dispose();
    this.#forget();
  }

  #forget(): void {
    if (this.#kept) this.#kernels.free(...this.#kept.values.values());
    this.#kept = undefined;
  }

  #stillValues(sizes: Sizes): ReadonlyMap<number, TensorInfo> {
    const key = JSON.stringify(sizes);
    if (this.#kept?.sizes === key) return this.#kept.values;
    this.#forget();
    const values = new Map<number, TensorInfo>();
    for (const equation of this.#still) {
      values.set(equation.results[0]!.id, this.#evaluate(equation, values, sizes));
    }
    this.#kept = { sizes: key, values };
    return values;
  }

  #evaluate(
    { primitive, operands, attributes, results }: Equation,
    values: ReadonlyMap<number, TensorInfo>,
    sizes: Sizes,
  ): TensorInfo {
    const [result] = results as [Value];
    const rule = rules[primitive] as Rule<Primitive>;
    return rule(this.#kernels, {
      operands: operands.map(({ id }) => values.get(id)!),
      attributes: attributes as never,
      shape: evaluateShape(result.shape, sizes),
      dtype: result.dtype,
      products: this.#products,
    });
  }

  #input({ shape, data }: HostTensor, { dtype }: Value): TensorInfo {
    return this.#kernels.upload(
      dtype === "bool" ? Uint8Array.from(data, (one) => one === 0 ? 0 : 1) : data.slice(),
      shape,
      dtype,
    );
  }

  async #output({ dataId, shape, dtype }: TensorInfo): Promise<HostTensor> {
    const values = await this.#kernels.backend.read(dataId);
    return {
      shape: [...shape],
      data: dtype === "float32" ? Float32Array.from(values) : Int32Array.from(values),
    };
  }
}

/** Equations whose results depend on nothing but sizes. */
function stillEquations(program: Program): Set<Equation> {
  const values = new Set<number>();
  const found = new Set<Equation>();
  for (const equation of program.equations) {
    if (!equation.operands.every(({ id }) => values.has(id))) continue;
    found.add(equation);
    for (const { id } of equation.results) values.add(id);
  }
  return found;
}

/** After each equation, the values that nothing reads any more. */
function lastUses(program: Program, equations: readonly Equation[]): number[][] {
  const last = new Map<number, number>();
  equations.forEach(({ operands, results }, at) => {
    for (const { id } of [...operands, ...results]) last.set(id, at);
  });
  for (const { value } of program.outputs) last.delete(value.id);
  for (const { next } of program.updates) last.delete(next.id);
  const ends: number[][] = equations.map(() => []);
  for (const [id, at] of last) ends[at]!.push(id);
  return ends;
}
