/**
 * Compiles the kernels into `linux_x86_64.ts`, on Linux on x86-64 with gcc:
 *
 *     deno task kernels
 *
 * The library needs nothing but the system's C library.
 *
 * @module
 */

import { sourceDigest } from "./source_digest.ts";

const folder = new URL(".", import.meta.url);
const { digest, sources } = await sourceDigest(folder);
const library = await Deno.makeTempFile({ suffix: ".so" });
try {
  const compiled = await new Deno.Command("gcc", {
    // deno-fmt-ignore
    args: [
      "-std=c11", "-D_GNU_SOURCE", "-O3", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-s",
      "-fvisibility=hidden", "-pthread", "-Wl,-z,nodelete", "-o", library, ...sources,
    ],
    cwd: folder,
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!compiled.success) Deno.exit(compiled.code);
  const packed = await new Response(
    (await Deno.open(library)).readable.pipeThrough(new CompressionStream("gzip")),
  ).bytes();
  const letters = btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join(""));
  const lines = letters.match(/.{1,100}/g)!.map((line) => `  "${line}"`).join(" +\n");
  await Deno.writeTextFile(
    new URL("linux_x86_64.ts", folder),
    [
      "/** The kernels' library for Linux on x86-64, compiled by build.ts. */",
      "",
      "/** SHA-256 of the sources it was compiled from. */",
      `export const SOURCE_DIGEST = "${digest}";`,
      "",
      "/** The library, packed by gzip, in base64. */",
      "// deno-fmt-ignore",
      `export const LIBRARY =\n${lines};`,
      "",
    ].join("\n"),
  );
} finally {
  await Deno.remove(library);
}
