/**
 * The browser that tests use.
 *
 * @module
 */

/** Where Chromium may be; SPPO_CHROMIUM names another place. */
const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"];

/** Why a test that needs it does not run. */
export const NO_CHROMIUM = `no Chromium was found (${CHROMIUM.join(", ")}, or SPPO_CHROMIUM)`;

/** The first Chromium that answers, with its version. */
export async function findChromium(): Promise<{ path: string; version: string } | undefined> {
  const given = Deno.env.get("SPPO_CHROMIUM");
  for (const path of given === undefined ? CHROMIUM : [given]) {
    try {
      const { success, stdout } = await new Deno.Command(path, { args: ["--version"] }).output();
      if (success) return { path, version: new TextDecoder().decode(stdout).trim() };
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return undefined;
}

/**
 * Removes the browser's folder. Its helper processes outlive it by a moment and may still write, so
 * a folder that has filled again is tried again, and one that stays says so and fails nothing.
 */
export async function removeFolder(folder: string, print: (text: string) => void): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (attempt === 20) {
        print(`${folder} stays: ${(error as Error).message}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

/** A page in a browser of its own, driven as by a person: keys and clicks are the browser's events. */
export interface DrivenPage extends AsyncDisposable {
  /** Opens another address. */
  open(url: string): Promise<void>;
  /** Waits until an expression of the page is true. */
  until(expression: string): Promise<void>;
  /** The value of an expression of the page. */
  read(expression: string): Promise<unknown>;
  /** Presses a key that writes a character. */
  press(key: string): Promise<void>;
  /** Clicks in the middle of an element. */
  click(selector: string): Promise<void>;
}

/** Starts headless Chromium, and speaks its DevTools protocol. */
export async function drivePage(
  chromium: string,
  print: (text: string) => void,
): Promise<DrivenPage> {
  const folder = await Deno.makeTempDir();
  const browser = new Deno.Command(chromium, {
    args: [
      ...["--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu"],
      ...["--remote-debugging-port=0", `--user-data-dir=${folder}/profile`, "about:blank"],
    ],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const address = Promise.withResolvers<string>();
  const listening = (async () => {
    let text = "";
    for await (const piece of browser.stderr.pipeThrough(new TextDecoderStream())) {
      const found = /listening on (ws:\S+)/.exec(text += piece);
      if (found) address.resolve(found[1]!);
    }
    address.reject(new Error(`Cannot drive Chromium as it must listen: ${text}`));
  })();
  const socket = new WebSocket(await address.promise);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  const waiting = new Map<number, (message: { result?: unknown; error?: unknown }) => void>();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  };
  let calls = 0, sessionId = "";
  async function call<T>(method: string, params: Record<string, unknown> = {}): Promise<T> {
    const id = ++calls;
    const answer = new Promise<{ result?: unknown; error?: unknown }>((resolve) =>
      waiting.set(id, resolve)
    );
    socket.send(JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) }));
    const { result, error } = await answer;
    if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result as T;
  }
  async function read(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await call<
      { result: { value?: unknown }; exceptionDetails?: unknown }
    >("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }
  const until = async (expression: string) => {
    await read(
      `new Promise((found, fail) => {
        const look = () => (${expression}) ? found() : setTimeout(look, 10);
        look();
        setTimeout(() => fail(new Error("not so within a minute")), 60_000);
      })`,
    );
  };
  const { targetId } = await call<{ targetId: string }>("Target.createTarget", {
    url: "about:blank",
  });
  sessionId = (await call<{ sessionId: string }>("Target.attachToTarget", {
    targetId,
    flatten: true,
  })).sessionId;
  return {
    async open(url) {
      await call("Page.navigate", { url });
      await until('document.readyState === "complete"');
    },
    until,
    read,
    async press(key) {
      await call("Input.dispatchKeyEvent", { type: "keyDown", key, text: key });
      await call("Input.dispatchKeyEvent", { type: "keyUp", key });
    },
    async click(selector) {
      const [x, y] = await read(
        `(() => {
          const { x, y, width, height } = document.querySelector(${JSON.stringify(selector)})
            .getBoundingClientRect();
          return [x + width / 2, y + height / 2];
        })()`,
      ) as [number, number];
      const at = { x, y, button: "left", clickCount: 1 };
      await call("Input.dispatchMouseEvent", { type: "mousePressed", ...at });
      await call("Input.dispatchMouseEvent", { type: "mouseReleased", ...at });
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      browser.kill();
      await browser.status;
      await listening.catch(() => {});
      await removeFolder(folder, print);
    },
  };
}
