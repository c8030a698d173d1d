/** Tasks that happen one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Whether a task would have to wait. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Runs a task after those before it, whether they fail or not; at once when there are none. */
  take<T>(task: () => T | Promise<T>): Promise<T> {
    const run = async () => {
      try {
        return await task();
      } finally {
        this.#waiting--;
      }
    };
    const turn = this.#waiting++ === 0 ? run() : this.#last.then(run);
    this.#last = turn.then(() => undefined, () => undefined);
    return turn;
  }
}
