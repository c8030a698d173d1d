/**
 * Judges that are people, named on the command line.
 *
 * @module
 */

import type { PreferenceOracle } from "../../core/oracle.ts";
import { humanJudge, type HumanVote, type PersonJudge, type Voter } from "../../judges/mod.ts";
import { loadStringWidth } from "../_deps.ts";
import type { LoadContext } from "../load_model.ts";
import { hasTerminal, keyTerminal } from "../people/key_terminal.ts";
import { servePage } from "../people/page_voter.ts";
import { terminalVoter } from "../people/terminal_voter.ts";
import { openVoteFile } from "../people/vote_file.ts";

/**
 * What makes judges of people. All who are asked in the terminal share it, one after the other; each
 * page is one of its own. What was voted is told at the end.
 *
 * @returns What makes one.
 * @throws {Error} On making one, when there is no terminal to ask in, a port is taken, or a file of
 *   votes cannot be opened.
 */
export function loadPersonJudge(
  { resources, progress, interrupt: stop }: LoadContext,
): (person: PersonJudge) => Promise<PreferenceOracle> {
  let terminal: Voter | undefined;
  async function voterOf(who: string, page: number | undefined): Promise<Voter> {
    if (page === undefined) {
      const measure = await loadStringWidth();
      return terminal ??= terminalVoter(keyTerminal(), { measure, stop });
    }
    const voter = resources.use(await servePage({ port: page, stop }));
    progress.line(`${who}: compare the responses at ${voter.url}`);
    return voter;
  }
  return async ({ name, seed, page, votes }) => {
    const who = name === undefined ? "human" : `human:${name}`;
    if (page === undefined && !hasTerminal()) {
      throw new TypeError(
        `Cannot use the judge ${who} as standard input and standard error must be a terminal: ` +
          `they are not; ${who}@page=0 asks on a page in a browser`,
      );
    }
    const path = votes ?? (name === undefined ? "votes.jsonl" : `votes-${name}.jsonl`);
    const file = resources.use(openVoteFile(path));
    const voter = await voterOf(who, page);
    resources.defer(() => {
      if (file.given().length > 0) progress.line(`${who}: ${report(file.given())} kept in ${path}`);
    });
    return humanJudge(voter, {
      votes: file,
      ...(name === undefined ? {} : { name }),
      ...(seed === undefined ? {} : { seed }),
    });
  };
}

function report(votes: readonly HumanVote[]): string {
  const decided = votes.filter(({ better }) => better !== "neither");
  const first = decided.filter(({ better, first }) => better === first).length;
  return `${votes.length} votes, ${
    votes.length - decided.length
  } for neither; what was shown first won ` +
    `${first} of ${decided.length};`;
}
