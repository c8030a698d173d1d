/**
 * The package of this folder, pinned here once and fetched only when a model is downloaded.
 *
 * @module
 */

/** Client of the Hugging Face hub. */
const HUB = "npm:@huggingface/hub@2.17.5";

/** A file of a repository on the Hugging Face hub. */
export interface HubEntry {
  readonly type: string;
  readonly path: string;
  readonly size: number;
  readonly oid?: string;
  readonly lfs?: { readonly oid: string; readonly size: number };
}

/** Options of every request to the hub. */
export interface HubQuery {
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly fetch: typeof fetch;
}

/** What is used of `@huggingface/hub`. Requests that the hub refuses throw with its `statusCode`. */
export interface HubClient {
  modelInfo(
    query: HubQuery & {
      readonly name: string;
      readonly revision: string;
      readonly additionalFields: readonly ["sha"];
    },
  ): Promise<{ readonly sha?: unknown }>;
  listFiles(
    query: HubQuery & {
      readonly repo: string;
      readonly recursive: boolean;
      readonly revision: string;
    },
  ): AsyncIterable<HubEntry>;
  /** null where there is no such file. */
  downloadFile(
    query: HubQuery & {
      readonly repo: string;
      readonly path: string;
      readonly revision: string;
      readonly xet: false;
    },
  ): Promise<Blob | null>;
}

/** Fetches `@huggingface/hub`. */
export async function loadHub(): Promise<HubClient> {
  return await import(HUB);
}
