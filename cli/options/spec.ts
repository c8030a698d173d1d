/**
 * Options as data. One table per command yields parsing, checks, help text and the JSON schema of the
 * configuration file.
 *
 * A key `maxTokens` is the flag `--max-tokens` and the configuration key `max_tokens`.
 *
 * @module
 */

/** What all kinds of options have. */
export interface OptionBase {
  /** One line for the help, without a full stop. */
  readonly help: string;
  /** Heading of the help under which it stands. */
  readonly group: string;
  /** Must be given. */
  readonly required?: true;
  /** Only a flag, never a key of the configuration file. */
  readonly flagOnly?: true;
  /** Words that do not follow a flag are its value; at most one option of a table. */
  readonly positional?: true;
  /**
   * How a run that continues compares it with the run's record: `same` (the default) refuses another
   * value, `more` allows a larger one, `content` compares what the path leads to, `free` nothing.
   */
  readonly resume?: "same" | "more" | "content" | "free";
}

/** Text, a path among them. */
export interface TextOption extends OptionBase {
  readonly type: "text";
  /** Stands for the value in the help, such as `FILE`. */
  readonly value: string;
  readonly default?: string;
}

/** A number. */
export interface NumberOption extends OptionBase {
  readonly type: "number" | "integer";
  /** Smallest value allowed. */
  readonly min?: number;
  /** Largest value allowed. */
  readonly max?: number;
  /** Values must be larger than this. */
  readonly above?: number;
  readonly default?: number;
}

/** An amount of memory: bytes, or a text such as `8GiB`. */
export interface SizeOption extends OptionBase {
  readonly type: "size";
  /** Whoever reads it knows better. */
  readonly default?: never;
}

/** One word of a closed set. */
export interface ChoiceOption<C extends string = string> extends OptionBase {
  readonly type: "choice";
  readonly choices: readonly C[];
  /** Stands for the choices in the help, where they are too many for a line. */
  readonly value?: string;
  readonly default?: C;
}

/** Words separated by commas; in a configuration file an array. */
export interface ListOption extends OptionBase {
  readonly type: "list";
  /** Stands for the value in the help. */
  readonly value: string;
  readonly default?: readonly string[];
}

/** On or off. */
export interface SwitchOption extends OptionBase {
  readonly type: "switch";
  readonly default: boolean;
}

/** Any option. */
export type OptionSpec =
  | TextOption
  | NumberOption
  | SizeOption
  | ChoiceOption
  | ListOption
  | SwitchOption;

/** The options of one command. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** A value of any option. */
export type OptionValue = string | number | boolean | readonly string[];

/** Type of an option's value, without regard to whether it is always there. */
export type Given<O extends OptionSpec> = O extends { type: "text" } ? string
  : O extends { type: "number" | "integer" | "size" } ? number
  : O extends { type: "choice"; choices: readonly (infer C)[] } ? C
  : O extends { type: "list" } ? readonly string[]
  : boolean;

/** Values of a table's options: those required or with a default are always there. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { required: true } | { default: OptionValue } ? Given<T[K]>
    : Given<T[K]> | undefined;
};

/** Some values of a table's options. */
export type SomeValues<T extends OptionTable> = { readonly [K in keyof T]?: Given<T[K]> };

/** `maxTokens` to `--max-tokens`. */
export function flagName(key: string): string {
  return `--${words(key).join("-")}`;
}

/** `maxTokens` to `max_tokens`. */
export function configKey(key: string): string {
  return words(key).join("_");
}

function words(key: string): string[] {
  return key.replace(/([A-Z])/g, " $1").toLowerCase().split(" ");
}
