import { expect } from "./cut";

/** Part of a file, from one byte up to, not including, another. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

// Some of what was read stays in memory for a while.
const SLICE_BYTES = 256 * 1024;

/** Read part of a file, which must be there. WebKit and Chromium on Windows cannot be trusted with `Blob.stream()`. */
export async function read(file: Blob, start: number, end: number): Promise<Uint8Array> {
  expect(start >= 0 && start <= end && end <= file.size, "The file ends before it should.");
  return new Uint8Array(await file.slice(start, end).arrayBuffer());
}

/** Read part of a file in slices. */
export async function* slices(file: Blob, { start, end }: Range): AsyncGenerator<Uint8Array> {
  for (let at = start; at < end; at += SLICE_BYTES) {
    yield await read(file, at, Math.min(at + SLICE_BYTES, end));
  }
}

/** How much a Reader reads at once: the least after it has skipped something, and more and more until it skips again. */
interface AtOnce {
  readonly least: number;
  readonly most: number;
}

/** Reads a file from its start to its end. */
export class Reader {
  #slice: Uint8Array = new Uint8Array();
  #start = 0;
  #length = 0;

  constructor(
    readonly file: Blob,
    public position = 0,
    readonly atOnce: AtOnce = { least: SLICE_BYTES, most: 4 * SLICE_BYTES },
  ) {}

  /** Return the next bytes, or fewer at the end of the file, without moving on. */
  async peek(count: number): Promise<Uint8Array> {
    const offset = this.position - this.#start;
    if (offset < 0 || offset + count > this.#slice.length) {
      const hasSkipped = offset < 0 || offset > this.#slice.length;
      this.#length = Math.min(Math.max(hasSkipped ? 0 : 2 * this.#length, this.atOnce.least), this.atOnce.most);
      const end = Math.min(this.position + Math.max(count, this.#length), this.file.size);
      this.#slice = await read(this.file, this.position, end);
      this.#start = this.position;
    }
    const from = this.position - this.#start;
    return this.#slice.subarray(from, from + count);
  }

  /** Return the next bytes, all of which must be there, and move on past them. The caller may keep them. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.peek(count);
    expect(bytes.length === count, "The file ends before it should.");
    this.position += count;
    return bytes.slice();
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function bytesOf(hexadecimal: string): Uint8Array {
  return Uint8Array.from(hexadecimal.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Write a whole number in a given number of bytes, most significant first. */
export function bigEndian(value: number, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  for (let at = width - 1; at >= 0; at--) {
    bytes[at] = value % 256;
    value = Math.floor(value / 256);
  }
  return bytes;
}
