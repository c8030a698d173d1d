/**
 * What the command line prints about judges; the grammar is in read_judge.ts.
 *
 * @module
 */

/** What the command line prints about judges. */
export const judgeGrammarHelp = `\
A judge is a feature, a cycle of features, or a weighted sum of judges:

  length:30-60            30 to 60 words (also 30- and -60)
  characters:200-400      200 to 400 characters
  lexicon:great|"of course"   one of these words or phrases
  example                 gives an example ("for example", "such as" ...)
  regex:/^\\d+\\./m         a regular expression
  json                    is valid JSON
  starts:"Yes" ends:"?"   how it starts, how it ends
  contains:"f("           has a text in it, letter by letter
  value:1..5              comes to a number in a range (also 1.. and ..5)
  refusal                 refuses ("I can't", "I'm sorry, but" ...)
  repetition:4            share of repeated n-grams of words
  not:A                   the opposite of feature A
  cycle:A,B,C             feature A beats B, B beats C, C beats A; none of them loses
  0.7*A + 0.3*B           a mixture; A*0.7 + B*0.3 is the same

or compares responses with a column of the prompts' file (field=NAME for another than the one named):

  number                  the same number as in "answer", such as GSM8K's   tolerance=0
  exact                   the same text as "answer", as SQuAD compares them
  rouge, chrf             like "reference": ROUGE-L, chrF
  schema                  JSON that the schema in "schema" allows; schema:{"type": ...} for all prompts
  checks                  share of the features listed in "checks" that hold, such as ["length:-50","not:refusal"]

or a model, by its folder or its name on the Hugging Face hub:

  pair-rm:PATH            PairRM                 temperature=1   2 is what it is calibrated for
  reward:PATH             a reward model         temperature=1   penalty=0   reward less, a character
  reward:PATH|PATH        several, averaged      weights=1/1     how much each counts
  gpm:PATH                a general preference   tau=0.1         normalize=0 (1: embeddings of length 1)
                          model

or a language model, which is asked about each pair in both orders: one that --model takes, by how likely it
finds the labels, or one of an OpenAI-compatible server:

  llm:PATH
  llm:MODEL@url=http://localhost:8080/v1

  template=short        short, alpaca (AlpacaEval 2), mt-bench (pair-v2), or a Jinja file of your own, with
                        prompt, messages, first and second
  labels=A/B/C          how answers to your template begin (first, second, tie; without: [[A]], [[B]], [[C]])
  logprobs=1            0: labels are read from the text alone        tokens=N      longest answer
  unparsable=throw      pair, prompt: what is masked where an answer has no verdict
  of a server:
  concurrency=4         requests at once       retries=3 timeout=120  of a request, times and seconds
  budget=N              tokens after which nothing is asked           price=2.5/10  of a million tokens
  key=FILE              holds the API key      cache=FOLDER           where answers are kept

or a person:

  human                   asked here, in the terminal   votes=votes.jsonl   where votes are kept
  human@page=0            on a page for the browser (0: any free port)   seed=0   of what is shown first
  human:ann               of a name, with votes-ann.jsonl of their own

or a judge over judges:

  swap(A)                 A in both orders, the mean of them
  majority(A; B; C)       one vote each: 1, 0 or 1/2; share(A; B; C) the share of votes
  cached(A)@file=FILE     asks A about each pair of texts once; without a file, once in this command
  noisy(A)@noise=0.5      noise of the logit; flip=0.1 turns so many pairs round; seed=0
  tempered(A)@temperature=2   logits divided by it

or a TypeScript module: its path, or module:PATH among others.

A path with white space or one of @ | + * , ; ( ) stands in quotes. Options follow an @: length:30-60@sharpness=3,cap=0.9

  sharpness=6   logit of a full difference of scores     noise=0   noise of the logit
  cap=0.95      bound of every preference                seed=0    seed of the noise
  count=1       occurrences wanted (lexicon, example)
  strengths=.9/.6/.7   how often A beats B, B beats C, C beats A (cycle)
  none=.9              how often any of them beats none of them (cycle)

Example: --judge '0.7*length:30-60 + 0.3*example'`;
