/**
 * The repository's own source files.
 *
 * @module
 */

/** Root of the repository, ending in a slash. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** A source file. */
export interface SourceFile {
  /** Path from the root, such as `core/oracle.ts`. */
  readonly path: string;
  /** Its text. */
  readonly text: string;
  /** Its text with comments and their examples blanked. */
  readonly code: string;
  /** The same without texts and regular expressions. */
  readonly bare: string;
}

/** Folders that hold no source of ours. */
const SKIPPED = new Set(["out", "runs", "coverage", "node_modules", "data"]);

/** All TypeScript files. */
export async function sourceFiles(): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  async function walk(folder: string): Promise<void> {
    for await (const entry of Deno.readDir(new URL(folder || ".", ROOT))) {
      const path = `${folder}${entry.name}`;
      if (entry.name.startsWith(".") || SKIPPED.has(entry.name)) continue;
      if (entry.isDirectory) await walk(`${path}/`);
      else if (path.endsWith(".ts")) {
        const text = await Deno.readTextFile(new URL(path, ROOT));
        const code = text.replace(TOKEN, (token) => isComment(token) ? blank(token) : token);
        files.push({ path, text, code, bare: text.replace(TOKEN, blank) });
      }
    }
  }
  await walk("");
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

/** Strings, template literals, regular expressions after an operator, and comments. */
const TOKEN =
  /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[^]|[^`\\])*`|(?<=[(,=>:[!&|?{};]\s*)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/|\/\/[^\n]*|\/\*[^]*?\*\//g;

function isComment(token: string): boolean {
  return token.startsWith("//") || token.startsWith("/*");
}

function blank(token: string): string {
  return token.replace(/[^\n]/g, " ");
}

/** What a file imports or re-exports, literal dynamic imports included. */
export function importsOf({ code }: Pick<SourceFile, "code">): string[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*)(["'])([\w@.:/+~^-]+)\1/g;
  return [...code.matchAll(pattern)].map((match) => match[2]!);
}
