/** The result of cutting a file: the same file without its pictures. */
export interface Cut {
  readonly mimeType: string;
  /** How many soundtracks it keeps: all of them. */
  readonly soundtracks: number;
  /** How many bytes it has, or null if only cutting it will show that. */
  readonly bytes: number | null;
  /** The bytes, in order and the same each time. Throws Doubt if something unexpected turns up along the way. */
  parts(): AsyncIterable<Uint8Array>;
}

/** Thrown if a file contains something that we are not sure to cut correctly. It is then sent whole. */
export class Doubt extends Error {}

/** Throw Doubt unless a condition holds. */
export function expect(condition: boolean, doubt: string): asserts condition {
  if (!condition) throw new Doubt(doubt);
}
