/** Counts what a backend holds. */

import type { Backend } from "../../../graph/mod.ts";

/** A backend that counts what is held: bindings, stores and executables that were not disposed. */
export function counted(backend: Backend): { backend: Backend; held: Record<string, number> } {
  const held = { bindings: 0, stores: 0, executables: 0 };
  const count = <T extends { dispose(): Promise<void> }>(kind: keyof typeof held, one: T): T => {
    const dispose = one.dispose.bind(one);
    let counts = true;
    held[kind]++;
    one.dispose = () => {
      if (counts) held[kind]--;
      counts = false;
      return dispose();
    };
    return one;
  };
  const { createStore, compile } = backend;
  backend.createStore = async (...given) =>
    count("stores", await createStore.apply(backend, given));
  backend.compile = async (...given) => {
    const executable = await compile.apply(backend, given);
    const bind = executable.bind.bind(executable);
    executable.bind = (stores) => count("bindings", bind(stores));
    return count("executables", executable);
  };
  return { backend, held };
}
