/**
 * Copies of constants in the layout of the product kernels.
 *
 * @module
 */

import type { Api, Pointer } from "./api.ts";

/** A place for packed copies, held by one session. */
export interface PackedPlace {
  /** onnxruntime's PrepackedWeightsContainer. */
  readonly container: Pointer;
  /** Gives it up, after the session is released. */
  release(): void;
}

/**
 * Sessions with constants of the same stores share one packed copy, which is freed with the last of
 * them: onnxruntime's containers only grow, and so hold what no session reads any more.
 */
export class PackedWeights {
  readonly #api: Api;
  readonly #places = new Map<string, { readonly container: Pointer; users: number }>();
  readonly #numbers = new WeakMap<object, number>();
  #next = 0;

  constructor(api: Api) {
    this.#api = api;
  }

  /** The place of sessions that have constants of just these stores. */
  take(stores: readonly object[]): PackedPlace {
    const key = stores.map((store) => this.#number(store)).sort((a, b) => a - b).join();
    const { call, create } = this.#api;
    const place = this.#places.get(key) ?? {
      container: create("pack weights", (out) => call.CreatePrepackedWeightsContainer(out)),
      users: 0,
    };
    place.users++;
    this.#places.set(key, place);
    let held = true;
    return {
      container: place.container,
      release: () => {
        if (!held) return;
        held = false;
        if (--place.users > 0) return;
        this.#places.delete(key);
        call.ReleasePrepackedWeightsContainer(place.container);
      },
    };
  }

  #number(store: object): number {
    let number = this.#numbers.get(store);
    if (number === undefined) this.#numbers.set(store, number = this.#next++);
    return number;
  }
}
