/**
 * Texts from a user's own Jinja template.
 *
 * @module
 */

import { reasonOf } from "../checkpoints/one_line.ts";
import { loadJinja } from "./_deps.ts";
import { boundedRenderer } from "./bounded_jinja.ts";

/**
 * What parses templates of any variables, once the package is there; they are bounded as chat
 * templates are.
 *
 * @returns Parses a source; throws a SyntaxError if it is no template. What it gives renders, and
 *   throws a RangeError if the template raises an error or takes more than a template may.
 *
 * @example
 * ```ts
 * import { textTemplateParser } from "./text_template.ts";
 * import assert from "node:assert/strict";
 * const parse = await textTemplateParser();
 * assert.equal(parse("{{ first }} or {{ second }}?")({ first: "a", second: "{{ b }}" }), "a or {{ b }}?");
 * ```
 */
export async function textTemplateParser(): Promise<
  (source: string) => (variables: Record<string, unknown>) => string
> {
  const jinja = await loadJinja();
  return (source) => {
    let render: (variables: Record<string, unknown>) => string;
    try {
      render = boundedRenderer(jinja, source);
    } catch (error) {
      // Where a statement is left open, the parser reads past its last token.
      const reason = error instanceof TypeError ? "it is cut short" : reasonOf(error);
      throw new SyntaxError(`Cannot parse the template as it must be valid Jinja: ${reason}`);
    }
    return (variables) => {
      try {
        return render(variables);
      } catch (error) {
        throw new RangeError(
          `Cannot render the template as it must accept ${Object.keys(variables).join(", ")}: ${
            reasonOf(error)
          }`,
        );
      }
    };
  };
}
