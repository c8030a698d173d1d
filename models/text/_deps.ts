/**
 * The packages of this folder, each pinned here once and fetched only when it is first used.
 *
 * @module
 */

/** Tokenizers of the Hugging Face format; pure JavaScript. */
const TOKENIZERS = "npm:@huggingface/tokenizers@0.2.0";
/** Jinja, as far as chat templates use it. */
const JINJA = "npm:@huggingface/jinja@0.5.11";

/** What is used of a `Tokenizer` of `@huggingface/tokenizers`. */
export interface HuggingFaceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}

/** A node of a parsed template, as far as it is looked at. */
export interface JinjaNode {
  readonly type: string;
  readonly value?: unknown;
  readonly assignee?: JinjaNode;
  readonly object?: JinjaNode;
  readonly property?: JinjaNode;
  readonly callee?: JinjaNode;
  readonly args?: readonly JinjaNode[];
  readonly argument?: JinjaNode;
}

/** A value while a template is rendered: a scalar, a list or a mapping. */
export interface JinjaValue {
  readonly type: string;
  readonly value: string | number | boolean | null | JinjaValue[] | Map<string, JinjaValue>;
}

/** Variables by name. */
export interface JinjaScope {
  set(name: string, value: unknown): unknown;
}

/** What evaluates nodes, each through `evaluate`. */
export interface JinjaInterpreter {
  run(program: JinjaNode): JinjaValue;
  evaluate(node: JinjaNode | undefined, scope: JinjaScope): JinjaValue;
}

/** What is used of `@huggingface/jinja`. */
export interface Jinja {
  readonly tokenize: (
    source: string,
    options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean },
  ) => unknown[];
  readonly parse: (tokens: unknown[]) => JinjaNode;
  readonly Environment: new () => JinjaScope;
  readonly Interpreter: new (scope: JinjaScope) => JinjaInterpreter;
}

/** Loads `@huggingface/tokenizers`. */
export async function loadTokenizers(): Promise<{
  readonly Tokenizer: new (json: object, config: object) => HuggingFaceTokenizer;
}> {
  return await import(TOKENIZERS);
}

/** Loads `@huggingface/jinja`. */
export async function loadJinja(): Promise<Jinja> {
  return await import(JINJA);
}
