/**
 * A 64-bit content hash, for telling whether two checkpoints are the same; not for security.
 *
 * @module
 */

/** Hash of what was added so far. */
export interface ContentHash {
  add(bytes: Uint8Array): void;
  /** 16 hexadecimal digits. */
  digest(): string;
}

/** A hash of nothing yet. Depends on the bytes alone, not on how they were cut into parts. */
export function contentHash(): ContentHash {
  let low = 0x9e3779b9;
  let high = 0x85ebca6b;
  let length = 0;
  const carry = new Uint8Array(4);
  const mix = (word: number): void => {
    low = Math.imul(low ^ word, 0xcc9e2d51);
    low = (low << 13) | (low >>> 19);
    high = Math.imul(high + (word ^ low), 0x1b873593);
    high = (high << 15) | (high >>> 17);
  };
  const word = (bytes: Uint8Array, at: number): number =>
    bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  return {
    add(bytes) {
      let at = 0;
      while (at < bytes.length && length % 4 !== 0) {
        carry[length++ % 4] = bytes[at++]!;
        if (length % 4 === 0) mix(word(carry, 0));
      }
      const words = (bytes.length - at) >> 2;
      for (let i = 0; i < words; i++, at += 4) mix(word(bytes, at));
      length += 4 * words;
      for (; at < bytes.length; at++) carry[length++ % 4] = bytes[at]!;
    },
    digest() {
      const tail = length % 4;
      let rest = 0;
      for (let i = 0; i < tail; i++) rest |= carry[i]! << (8 * i);
      const finish = (value: number): string => {
        let h = Math.imul(value ^ rest ^ length, 0xff51afd7);
        h ^= h >>> 15;
        h = Math.imul(h, 0xc4ceb9fe);
        h ^= h >>> 16;
        return (h >>> 0).toString(16).padStart(8, "0");
      };
      return finish(low) + finish(high);
    },
  };
}

/** Content hash of a text. */
export function hashText(text: string): string {
  const hash = contentHash();
  hash.add(new TextEncoder().encode(text));
  return hash.digest();
}
