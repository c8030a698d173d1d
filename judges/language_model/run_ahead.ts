/**
 * Tasks run several at a time, their results in order.
 *
 * @module
 */

/**
 * Runs tasks in order, at most `concurrency` at once and ahead of whoever reads, and gives their
 * results in order. After a task that failed no other is begun; its error comes in its place, after
 * the results of those before it. Stopping early aborts the tasks under way and waits for them.
 *
 * @param tasks Each gets a signal that ends it.
 * @param concurrency A whole number from 1 on.
 */
export async function* runAhead<T>(
  tasks: readonly ((signal: AbortSignal) => Promise<T>)[],
  concurrency: number,
  signal?: AbortSignal,
): AsyncGenerator<T, undefined> {
  const ending = new AbortController();
  const own = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal;
  const results = tasks.map(() => Promise.withResolvers<T>());
  for (const { promise } of results) promise.catch(() => {}); // reported where it is awaited
  let next = 0, failed = false;
  async function work(): Promise<void> {
    while (next < tasks.length && !failed && !own.aborted) {
      const at = next++;
      try {
        results[at]!.resolve(await tasks[at]!(own));
      } catch (error) {
        failed = true;
        results[at]!.reject(error);
      }
    }
    // What nobody will begin any more.
    if (own.aborted) { for (const { reject } of results.slice(next)) reject(own.reason); }
  }
  const workers = Array.from({ length: Math.min(concurrency, tasks.length) }, work);
  try {
    for (const { promise } of results) yield await promise;
  } finally {
    ending.abort();
    await Promise.all(workers);
  }
}
