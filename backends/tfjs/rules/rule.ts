/** How one primitive is computed by kernels. */

import type { Attributes, DType, Primitive } from "../../../graph/program.ts";
import type { Kernels } from "../kernels.ts";
import type { TensorInfo } from "../open.ts";
import type { Products } from "../products.ts";

/** An equation whose sizes are known. */
export interface Call<P extends Primitive> {
  readonly operands: readonly TensorInfo[];
  readonly attributes: Attributes[P];
  /** Shape of the result. */
  readonly shape: readonly number[];
  /** Element type of the result. */
  readonly dtype: DType;
  /** Matrix products of this device. */
  readonly products: Products;
}

/** Computes the result; see `kernels.ts` for who owns what. */
export type Rule<P extends Primitive> = (kernels: Kernels, call: Call<P>) => TensorInfo;

/** Rules of some primitives. */
export type Rules<P extends Primitive> = { readonly [Q in P]: Rule<Q> };
