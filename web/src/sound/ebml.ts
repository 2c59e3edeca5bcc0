/** The elements of a Matroska or WebM file: https://www.rfc-editor.org/rfc/rfc8794. */
import { bigEndian, concat, type Reader } from "./bytes";
import { expect } from "./cut";

/** An element in memory. */
export interface Element {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly body: Uint8Array;
}

/** The head of an element in the file, which a Reader has just taken. `size` is null if unknown. */
export interface ElementHead {
  readonly id: number;
  readonly size: number | null;
  readonly bytes: Uint8Array;
}

const LONGEST_HEAD = 12;
export const UNKNOWN_SIZE = Uint8Array.of(0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff);

/** Take the head of the next element, or return null at the end of the file. */
export async function takeHead(reader: Reader): Promise<ElementHead | null> {
  const bytes = await reader.peek(LONGEST_HEAD);
  if (!bytes.length) return null;
  const { id, size, length } = headIn(bytes);
  return { id, size, bytes: await reader.take(length) };
}

/** Split bytes into the elements that they consist of. */
export function elementsIn(bytes: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const { id, size, length } = headIn(bytes.subarray(at, at + LONGEST_HEAD));
    expect(size !== null && at + length + size <= bytes.length, "An element is longer than the one around it.");
    const element = bytes.subarray(at, at + length + size);
    elements.push({ id, bytes: element, body: element.subarray(length) });
    at += element.length;
  }
  return elements;
}

/** Read a number of variable length, or return null if all its bits are set, which means that it is unknown. */
export function variable(bytes: Uint8Array): {
  value: number | null;
  width: number;
} {
  const first = bytes[0] ?? 0;
  const width = Math.clz32(first) - 23;
  expect(width <= 8 && bytes.length >= width, "A size is not one.");
  let value = first & (0xff >> width);
  let isUnknown = value === 0xff >> width;
  for (const byte of bytes.subarray(1, width)) {
    value = value * 256 + byte;
    isUnknown &&= byte === 0xff;
  }
  return { value: isUnknown ? null : value, width };
}

export function unsigned(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

export function element(id: number, ...parts: Uint8Array[]): Uint8Array {
  const body = concat(parts);
  return concat([idOf(id), bigEndian(body.length, 8).fill(0x01, 0, 1), body]);
}

export function idOf(id: number): Uint8Array {
  return bigEndian(id, Math.ceil((32 - Math.clz32(id)) / 8));
}

function headIn(bytes: Uint8Array): {
  id: number;
  size: number | null;
  length: number;
} {
  const idWidth = Math.clz32(bytes[0] ?? 0) - 23;
  expect(idWidth <= 4 && bytes.length > idWidth, "This is not an element.");
  const { value, width } = variable(bytes.subarray(idWidth));
  return {
    id: unsigned(bytes.subarray(0, idWidth)),
    size: value,
    length: idWidth + width,
  };
}
