/** What the kernels' library was compiled from. */

/** The names of the sources, and a digest of them and the headers. */
export async function sourceDigest(
  folder: URL,
): Promise<{ readonly digest: string; readonly sources: readonly string[] }> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (/\.[ch]$/.test(name)) files.push(name);
  files.sort();
  const texts = await Promise.all(
    files.map(async (name) => `${name}\n${await Deno.readTextFile(new URL(name, folder))}`),
  );
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(texts.join("")));
  const digest = Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0"));
  return { digest: digest.join(""), sources: files.filter((name) => name.endsWith(".c")) };
}
