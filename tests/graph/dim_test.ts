import assert from "node:assert/strict";
import {
  type Dim,
  dimNames,
  elementCount,
  equalShapes,
  evaluateDim,
  evaluateShape,
  formatShape,
  product,
  quotient,
} from "../../graph/mod.ts";
import { fc } from "../_deps.ts";

const RUNS = { numRuns: 200, seed: 1 };

const atom = fc.oneof(
  fc.integer({ min: 1, max: 12 }),
  fc.constantFrom("batch", "time", "keys"),
) as fc.Arbitrary<Dim>;
const dim = fc.array(atom, { minLength: 1, maxLength: 4 }).map((parts) => product(...parts));
const sizes = fc.record({
  batch: fc.integer({ min: 1, max: 9 }),
  time: fc.integer({ min: 1, max: 9 }),
  keys: fc.integer({ min: 1, max: 9 }),
});

Deno.test("product() is commutative, associative and has the unit 1", () => {
  fc.assert(
    fc.property(dim, dim, dim, (a, b, c) => {
      assert.equal(product(a, b), product(b, a));
      assert.equal(product(product(a, b), c), product(a, product(b, c)));
      assert.equal(product(a, 1), a);
    }),
    RUNS,
  );
});

Deno.test("product() has the size of its factors multiplied", () => {
  fc.assert(
    fc.property(dim, dim, sizes, (a, b, given) => {
      assert.equal(
        evaluateDim(product(a, b), given),
        evaluateDim(a, given) * evaluateDim(b, given),
      );
    }),
    RUNS,
  );
});

Deno.test("quotient() undoes product()", () => {
  fc.assert(
    fc.property(dim, dim, (a, b) => {
      assert.equal(quotient(product(a, b), b), a);
      assert.equal(quotient(a, a), 1);
    }),
    RUNS,
  );
});

Deno.test("quotient() throws when a name or the number does not divide", () => {
  const error = (dim: Dim, divisor: Dim) =>
    new RangeError(
      `Cannot divide a dimension as the divisor must divide it whatever its names stand for: ${dim} by ${divisor}`,
    );
  assert.throws(() => quotient("4*batch", "time"), error("4*batch", "time"));
  assert.throws(() => quotient("4*batch", "batch*batch"), error("4*batch", "batch*batch"));
  assert.throws(() => quotient("4*batch", 3), error("4*batch", 3));
  assert.throws(() => quotient(4, 0), error(4, 0));
});

Deno.test("evaluateDim() throws when a name has no size", () => {
  assert.throws(
    () => evaluateDim("4*batch", {}),
    new TypeError(
      "Cannot evaluate the dimension 4*batch as batch must have a size: none was given",
    ),
  );
});

Deno.test("shapes are counted, compared, named and formatted", () => {
  const shape = ["time", 4, "batch", 2];
  assert.equal(elementCount(shape), "8*batch*time");
  assert.equal(elementCount([]), 1);
  assert.deepEqual(evaluateShape(shape, { batch: 3, time: 5 }), [5, 4, 3, 2]);
  assert.deepEqual(dimNames(["batch*time", "batch", 3]).sort(), ["batch", "time"]);
  assert.equal(formatShape(shape), "[time, 4, batch, 2]");
  assert.ok(equalShapes(shape, [...shape]));
  assert.ok(!equalShapes(shape, ["time", 4, "batch"]));
});
