import { createReferenceBackend } from "../../graph/mod.ts";
import { conformance } from "./conformance.ts";

/** Outputs are rounded to float32: half a unit in the last of 24 bits. */
const TOLERANCE = 2 ** -24;

conformance(() => Promise.resolve(createReferenceBackend()), {
  name: "reference",
  tolerance: TOLERANCE,
});
