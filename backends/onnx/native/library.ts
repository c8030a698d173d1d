/**
 * Finds onnxruntime's shared library. The package `onnxruntime-node` brings it; importing the package
 * loads it into the process, after which the loader knows it by its name.
 *
 * @module
 */

import { ONNXRUNTIME_PACKAGE, ONNXRUNTIME_VERSION } from "../_deps.ts";

/** Name by which the loader knows the library, by platform. Linux on x86-64 is the tested one. */
const libraryNames: Readonly<Record<string, string>> = {
  "linux x86_64": "libonnxruntime.so.1",
  "linux aarch64": "libonnxruntime.so.1",
  "darwin aarch64": `libonnxruntime.${ONNXRUNTIME_VERSION}.dylib`,
  "windows x86_64": "onnxruntime.dll",
  "windows aarch64": "onnxruntime.dll",
};

const symbols = { OrtGetApiBase: { parameters: [], result: "pointer" } } as const;

/** The opened library. */
export type Library = Deno.DynamicLibrary<typeof symbols>;

/**
 * Loads the library of this platform.
 *
 * @throws {Error} When the platform has none, or the package or the permission is missing.
 */
export async function openLibrary(): Promise<Library> {
  const platform = `${Deno.build.os} ${Deno.build.arch}`;
  const name = libraryNames[platform];
  if (!name) {
    throw new Error(
      `Cannot load onnxruntime as its package has libraries for ${
        Object.keys(libraryNames).join(", ")
      }: this is ${platform}`,
    );
  }
  const permission = await Deno.permissions.query({ name: "ffi" });
  if (permission.state === "denied") {
    throw new Error(
      "Cannot load onnxruntime as it needs the permission to call native code: run with --allow-ffi",
    );
  }
  try {
    await import(ONNXRUNTIME_PACKAGE);
    return Deno.dlopen(name, symbols);
  } catch (cause) {
    throw new Error(
      `Cannot load onnxruntime as ${ONNXRUNTIME_PACKAGE} must be fetched and ${name} loaded ` +
        `(network or a cached package, and --allow-ffi): ${
          cause instanceof Error ? cause.message : cause
        }`,
      { cause },
    );
  }
}
