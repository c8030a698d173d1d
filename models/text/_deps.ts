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

/** A parsed template of `@huggingface/jinja`. */
export interface JinjaTemplate {
  render(variables: Record<string, unknown>): string;
}

/** Loads `@huggingface/tokenizers`. */
export async function loadTokenizers(): Promise<{
  readonly Tokenizer: new (json: object, config: object) => HuggingFaceTokenizer;
}> {
  return await import(TOKENIZERS);
}

/** Loads `@huggingface/jinja`. */
export async function loadJinja(): Promise<{
  readonly Template: new (source: string) => JinjaTemplate;
}> {
  return await import(JINJA);
}
