/**
 * The narrow domain of the embedded policy: short questions about animals.
 *
 * Every animal is asked every question. A tenth of the pairs is held out: their animals and their
 * questions are seen in training, the pairs are not.
 *
 * @module
 */

import { randomStream, shuffle } from "../../core/mod.ts";

const ANIMALS = [
  "ants",
  "bats",
  "bears",
  "bees",
  "butterflies",
  "camels",
  "cats",
  "chickens",
  "cows",
  "crabs",
  "crocodiles",
  "deer",
  "dogs",
  "dolphins",
  "ducks",
  "eagles",
  "elephants",
  "foxes",
  "frogs",
  "giraffes",
  "goats",
  "hippos",
  "horses",
  "kangaroos",
  "koalas",
  "lions",
  "lizards",
  "monkeys",
  "octopuses",
  "owls",
  "pandas",
  "parrots",
  "penguins",
  "pigs",
  "rabbits",
  "seals",
  "sharks",
  "sheep",
  "snakes",
  "spiders",
  "squirrels",
  "tigers",
  "turtles",
  "whales",
  "wolves",
  "zebras",
];

const QUESTIONS = [
  (animals: string) => `What do ${animals} eat?`,
  (animals: string) => `Where do ${animals} live?`,
  (animals: string) => `What do ${animals} look like?`,
  (animals: string) => `How do ${animals} move?`,
  (animals: string) => `What sound do ${animals} make?`,
  (animals: string) => `Why do people like ${animals}?`,
  (animals: string) => `How do ${animals} stay safe?`,
  (animals: string) => `What is special about ${animals}?`,
];

/** The questions by split, in a fixed random order. */
export function domainPrompts(): { readonly train: string[]; readonly heldOut: string[] } {
  const all = QUESTIONS.flatMap((question) => ANIMALS.map((animals) => question(animals)));
  const order = shuffle(all, randomStream(0, "domain"));
  const heldOut = Math.round(all.length / 10);
  return { train: order.slice(heldOut), heldOut: order.slice(0, heldOut) };
}
