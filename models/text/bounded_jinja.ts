/**
 * Jinja templates whose time and memory are bounded, whatever they say.
 *
 * @module
 */

import type { Jinja, JinjaNode, JinjaScope, JinjaValue } from "./_deps.ts";

/** Nodes evaluated in one rendering; a conversation of a thousand turns takes some ten thousand. */
const MAX_STEPS = 1_000_000;
/** Nodes evaluated within each other: bounds recursion of macros. */
const MAX_DEPTH = 400;
/** Size of one value: characters of its strings and members of its lists, all levels together. */
const MAX_SIZE = 1 << 20;
/** Size of all values made in one rendering. */
const MAX_MADE = 1 << 26;
/** How much larger both may be for each character of the conversation. */
const SIZE_PER_CHARACTER = 8;
const MADE_PER_CHARACTER = 64;
/** Lists within lists. */
const MAX_NESTING = 32;
/** Numbers in a range. */
const MAX_RANGE = 10_000;
/** Argument that the result is multiplied by: a separator's or replacement's length, an indent. */
const MAX_FACTOR = 64;
/** The last bound: no rendering goes on for longer. */
const MAX_MS = 5000;

/** Filters and methods whose result grows with an argument times the operand. */
const MULTIPLYING = ["indent", "join", "replace", "tojson"];

/** White space in a row; the parser's patterns take time with its square. */
const MAX_WHITE_SPACE = 200;

/** A value's characters and members, and how deep it nests. */
interface Measure {
  readonly size: number;
  readonly height: number;
}

/**
 * Parses a template for rendering within bounds: the number of evaluated nodes, the size of every
 * value and of all together, the depth, `range`, and the time.
 *
 * @returns Renders with variables; throws an Error when a bound is met.
 */
export function boundedRenderer(
  { Environment, Interpreter, parse, tokenize }: Jinja,
  source: string,
): (variables: Record<string, unknown>) => string {
  if (new RegExp(`\\s{${MAX_WHITE_SPACE + 1}}`).test(source)) {
    fail(`it has more than ${MAX_WHITE_SPACE} characters of white space in a row`);
  }
  const program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
  const factors = new WeakSet<JinjaNode>();
  collectFactors(program, factors);

  /** Of lists and mappings, which never change once they are made. */
  const measures = new WeakMap<JinjaValue, Measure>();

  class Bounded extends Interpreter {
    #steps = 0;
    #depth = 0;
    #made = 0;
    readonly #deadline = performance.now() + MAX_MS;

    constructor(scope: JinjaScope, readonly characters: number) {
      super(scope);
    }

    override evaluate(node: JinjaNode | undefined, scope: JinjaScope): JinjaValue {
      if (node === undefined) return super.evaluate(node, scope);
      if (++this.#steps > MAX_STEPS) fail(`it takes more than ${MAX_STEPS} steps`);
      if (this.#steps % 64 === 0 && performance.now() > this.#deadline) {
        fail(`it takes longer than ${MAX_MS / 1000} s`);
      }
      if (++this.#depth > MAX_DEPTH) fail(`it nests more than ${MAX_DEPTH} deep`);
      let value: JinjaValue;
      try {
        value = super.evaluate(node, scope);
      } finally {
        this.#depth--;
      }
      if (makesValue(node)) this.#charge(value);
      if (node.type === "Set" && node.assignee?.type === "MemberExpression") {
        this.#charge(super.evaluate(node.assignee.object, scope));
      }
      if (factors.has(node)) checkFactor(value);
      return value;
    }

    #charge(value: JinjaValue): void {
      const { size } = this.#measure(value, false);
      if (size > MAX_SIZE + SIZE_PER_CHARACTER * this.characters) {
        fail(`it makes a value of more than ${MAX_SIZE} characters or members`);
      }
      this.#made += size;
      if (this.#made > MAX_MADE + MADE_PER_CHARACTER * this.characters) {
        fail(`it makes more than ${MAX_MADE} characters`);
      }
    }

    #measure(item: JinjaValue, within: boolean): Measure {
      const { value } = item;
      if (typeof value === "string") return { size: value.length, height: 0 };
      const list = Array.isArray(value);
      if (!list && !(value instanceof Map)) return { size: 1, height: 0 };
      const changes = item.type === "NamespaceValue";
      if (changes && within) fail("it puts a namespace into another value");
      const known = changes ? undefined : measures.get(item);
      if (known !== undefined) return known;
      let size = 1, height = 0;
      for (const member of value.values()) {
        const inner = this.#measure(member, true);
        size += 1 + inner.size;
        height = Math.max(height, inner.height + 1);
      }
      if (!list) { for (const key of value.keys()) size += key.length; }
      if (height > MAX_NESTING) fail(`it nests lists more than ${MAX_NESTING} deep`);
      const measure = { size, height };
      if (!changes) measures.set(item, measure);
      return measure;
    }
  }

  return (variables) => {
    const scope = new Environment();
    for (const [name, value] of Object.entries({ ...globals(), ...variables })) {
      scope.set(name, value);
    }
    const characters = JSON.stringify(variables).length;
    const { value } = new Bounded(scope, characters).run(program);
    return String(value);
  };
}

/** Whether a node's value is new, and not one that was looked up. */
function makesValue({ type, property }: JinjaNode): boolean {
  switch (type) {
    case "Identifier":
      return false;
    case "MemberExpression":
      return property?.type === "SliceExpression";
    default:
      return true;
  }
}

/** Marks the arguments of {@linkcode MULTIPLYING} calls; what `replace` replaces is none. */
function collectFactors(node: unknown, factors: WeakSet<JinjaNode>): void {
  if (node instanceof Map) {
    for (const entry of node) collectFactors(entry, factors);
    return;
  }
  if (Array.isArray(node)) {
    for (const item of node) collectFactors(item, factors);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const { type, callee, args } = node as JinjaNode;
  if (type === "CallExpression" && callee && args) {
    const name = callee.type === "MemberExpression" ? callee.property?.value : callee.value;
    const multiplies = typeof name !== "string" || MULTIPLYING.includes(name);
    if (multiplies) {
      args.forEach((argument, index) => {
        const { type, value, argument: spread } = argument;
        if (type === "KeywordArgumentExpression") factors.add(value as JinjaNode);
        else if (spread !== undefined && type.includes("Spread")) factors.add(spread);
        else if (name !== "replace" || index > 0) factors.add(argument);
      });
    }
  }
  for (const child of Object.values(node)) collectFactors(child, factors);
}

function checkFactor({ value }: JinjaValue): void {
  if (typeof value === "number" && !(Math.abs(value) <= MAX_FACTOR)) {
    fail(`it indents by more than ${MAX_FACTOR}`);
  }
  if (typeof value === "string" && value.length > MAX_FACTOR) {
    fail(`it inserts a text of more than ${MAX_FACTOR} characters again and again`);
  }
  if (Array.isArray(value)) value.forEach(checkFactor);
  if (value instanceof Map) { for (const member of value.values()) checkFactor(member); }
}

/** What templates may call, as transformers gives it to them. */
function globals(): Record<string, unknown> {
  return {
    true: true,
    True: true,
    false: false,
    False: false,
    none: null,
    None: null,
    raise_exception: (message: unknown) => fail(String(message)),
    range: boundedRange,
    strftime_now: (format: unknown) => formatTime(new Date(), String(format)),
  };
}

function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) fail("the step of a range is 0");
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= MAX_RANGE)) fail(`a range has more than ${MAX_RANGE} numbers`);
  return Array.from({ length: count }, (_, index) => start + index * step);
}

const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** The directives of `strftime` that templates use; others stay as they are. */
function formatTime(date: Date, format: string): string {
  const two = (number: number) => String(number).padStart(2, "0");
  return format.replace(/%[YmdbBHM%]/g, (directive) => {
    switch (directive) {
      case "%Y":
        return String(date.getFullYear());
      case "%m":
        return two(date.getMonth() + 1);
      case "%d":
        return two(date.getDate());
      case "%b":
        return MONTHS[date.getMonth()]!.slice(0, 3);
      case "%B":
        return MONTHS[date.getMonth()]!;
      case "%H":
        return two(date.getHours());
      case "%M":
        return two(date.getMinutes());
      default:
        return "%";
    }
  });
}

/** The renderer above puts it into a whole sentence. */
function fail(what: string): never {
  throw new Error(what);
}
