/** What cutting a file comes to: the same file without its pictures. */
export interface Cut {
  readonly mimeType: string;
  /** How many soundtracks it keeps: all of them. */
  readonly soundtracks: number;
  /** How many bytes it has, or null if only cutting it will tell. */
  readonly bytes: number | null;
  /** The bytes, in order and the same each time. Throws Doubt if something unexpected turns up on the way. */
  parts(): AsyncIterable<Uint8Array>;
}

/** Thrown where a file holds something that we are not sure to cut right. It is sent whole then. */
export class Doubt extends Error {}

/** Throw Doubt unless something is as it must be. */
export function expect(condition: boolean, doubt: string): asserts condition {
  if (!condition) throw new Doubt(doubt);
}
