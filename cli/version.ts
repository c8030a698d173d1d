/** This toolkit's version, as in deno.json. A test holds them together. */
export const VERSION = "0.1.0";
