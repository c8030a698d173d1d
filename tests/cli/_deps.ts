/**
 * Packages that these tests use, each pinned once.
 *
 * @module
 */

export { parquetWriteBuffer } from "npm:hyparquet-writer@0.17.0";
export { Ajv2020 } from "npm:ajv@8.20.0/dist/2020.js";
