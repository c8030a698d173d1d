/**
 * Attention over prompts and their responses where each token is fed once.
 *
 * The tokens of a run stand after each other without padding: a prompt, then its responses, all of them
 * once. Everything but attention treats tokens apart, so chosen and rejected, or all K, share the
 * prompt's work. Attention is computed as two products: of the prompts' tokens among themselves, and of
 * the responses' tokens with those of their prompt and their own. No response meets another one, which
 * a tree mask over one row would compute first and then hide; and what a query sees is the causal mask
 * or window of its own sequence, whatever the architecture.
 *
 * @module
 */

import { type Dim, INVISIBLE, product, type ProgramBuilder, type Value } from "../../graph/mod.ts";

/** A table of tokens [rows, width] (−1 where there is none) and its inverse. */
interface Table {
  /** int32 [rows, width]. */
  readonly tokens: Value;
  /** int32 [tokens, copies]: places of each token in the flattened table; −1 fills up. */
  readonly places: Value;
}

/** The inputs that say which tokens belong together; `packSequences` makes them. */
export interface SharedPrompts {
  readonly prompts: Table;
  readonly responses: Table;
  /**
   * Keys of each response: the tokens of its prompt, by their places in the flattened table of prompts,
   * and behind them its own. Only those of prompts have copies, so that work grows with the responses
   * and not with their square.
   */
  readonly promptKeys: Table;
  readonly ownKeys: Table;
  /** int32 [responses]: tokens of each response's prompt. */
  readonly lengths: Value;
}

/**
 * Adds the inputs: `prompt_tokens` int32 [prompts, prompt_time], `response_tokens` int32 [responses,
 * response_time] and `own_key_tokens` int32 [responses, key_time], where each cell is a token's index in
 * the run or −1; `prompt_places`, `response_places` and `own_key_places` int32 [time, 1], where a token
 * stands in those tables; `prompt_key_tokens` int32 [responses, key_time], places in the table of prompts,
 * and `prompt_key_places` int32 [prompts, prompt_time, copies]; `prompt_lengths` int32 [responses].
 */
export function sharedPrompts(g: ProgramBuilder): SharedPrompts {
  const int = (name: string, ...shape: Dim[]) => g.input(name, "int32", shape);
  const table = (name: string, rows: Dim, width: Dim): Table => ({
    tokens: int(`${name}_tokens`, rows, width),
    places: int(`${name}_places`, "time", 1),
  });
  const prompts = table("prompt", "prompts", "prompt_time");
  const places = int("prompt_key_places", "prompts", "prompt_time", "copies");
  return {
    prompts,
    responses: table("response", "responses", "response_time"),
    promptKeys: {
      tokens: int("prompt_key_tokens", "responses", "key_time"),
      places: g.reshape(places, [product("prompts", "prompt_time"), "copies"]),
    },
    ownKeys: table("own_key", "responses", "key_time"),
    lengths: int("prompt_lengths", "responses"),
  };
}

/** x [..., H, D], of as many tokens, as [rows, width, H, D] by a table; zeros where there is no token. */
function spread(g: ProgramBuilder, x: Value, { tokens, places }: Table): Value {
  const [, , heads, size] = x.shape as [Dim, Dim, Dim, Dim];
  const [rows, width] = tokens.shape as [Dim, Dim];
  const flat = g.reshape(x, [places.shape[0]!, product(heads, size)]);
  const moved = g.regroup(flat, g.reshape(tokens, [product(rows, width), 1]), places);
  return g.reshape(moved, [rows, width, heads, size]);
}

/** The inverse of {@linkcode spread}; zeros for tokens that are not in the table. */
function collect(g: ProgramBuilder, x: Value, { tokens, places }: Table): Value {
  const [rows, width, heads, size] = x.shape as [Dim, Dim, Dim, Dim];
  const flat = g.reshape(x, [product(rows, width), product(heads, size)]);
  const moved = g.regroup(flat, places, g.reshape(tokens, [product(rows, width), 1]));
  return g.reshape(moved, [1, places.shape[0]!, heads, size]);
}

/** 0 or a large negative number [responses, 1, response_time, key_time]: what a response token sees. */
function visibility(
  g: ProgramBuilder,
  { responses, ownKeys, lengths }: SharedPrompts,
  window: number | undefined,
): Value {
  const [rows, width] = responses.tokens.shape as [Dim, Dim];
  const start = g.reshape(lengths, [rows, 1, 1, 1]);
  const position = g.add(start, g.iota([width, 1], 0)); // [responses, 1, response_time, 1]
  const column = g.iota([1, ownKeys.tokens.shape[1]!], 1);
  let seen = g.logicalNot(g.less(position, column));
  if (window !== undefined) {
    seen = g.logicalAnd(
      seen,
      g.less(g.sub(position, column), g.constant(window, [], "int32")),
    );
  }
  return g.select(seen, g.constant(0), g.constant(INVISIBLE));
}

/** Mask and scores of an attention layer. */
export interface SharedAttentionOptions {
  readonly scale: number;
  /** c: scaled scores s become c · tanh(s / c); they are not capped when not given. */
  readonly scoreCap?: number;
  /** Tokens a query sees, itself included; all before it when not given. */
  readonly window?: number;
}

/**
 * Attention of query [1, time, H, D] to key and value [1, time, Hkv, D].
 *
 * @returns [1, time, H, D].
 */
export function sharedAttention(
  g: ProgramBuilder,
  shared: SharedPrompts,
  query: Value,
  key: Value,
  value: Value,
  { window, ...scores }: SharedAttentionOptions,
): Value {
  const { prompts, responses, promptKeys, ownKeys } = shared;
  const promptKey = spread(g, key, prompts);
  const promptValue = spread(g, value, prompts);
  const ofPrompts = g.attention(
    spread(g, query, prompts),
    promptKey,
    promptValue,
    { ...scores, mask: { kind: "causal", ...(window === undefined ? {} : { window }) } },
  );
  const withPrompt = (ofPrompt: Value, own: Value) =>
    g.add(spread(g, ofPrompt, promptKeys), spread(g, own, ownKeys));
  const ofResponses = g.attention(
    spread(g, query, responses),
    withPrompt(promptKey, key),
    withPrompt(promptValue, value),
    { ...scores, mask: { kind: "bidirectional" }, bias: visibility(g, shared, window) },
  );
  return g.add(collect(g, ofPrompts, prompts), collect(g, ofResponses, responses));
}
