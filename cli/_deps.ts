/**
 * The npm packages of the command line, each with its pin. Imported when a file needs one, never at
 * the start.
 *
 * @module
 */

export { parse as parseCsv } from "npm:csv-parse@7.0.3/sync";
export { parquetMetadataAsync, parquetReadObjects, parquetSchema } from "npm:hyparquet@1.31.5";
export type { AsyncBuffer, FileMetaData } from "npm:hyparquet@1.31.5";
export { compressors } from "npm:hyparquet-compressors@1.1.2";
