/** The boxes of an MP4 or MOV: ISO/IEC 14496-12, section 4.2. */
import { bigEndian, concat, Reader, view } from "./bytes";
import { expect } from "./cut";

/** A box in memory. `body` is what follows its header. */
export interface Box {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly body: Uint8Array;
}

/** A box in the file. `body` is the position where its header ends. */
export interface FileBox {
  readonly type: string;
  readonly start: number;
  readonly body: number;
  readonly end: number;
}

const LARGEST_HEADER = 16;

/** Yield the boxes of a file, which must fill it to its last byte. */
export async function* fileBoxes(file: Blob): AsyncGenerator<FileBox> {
  // The media are between the boxes, so little is read at once.
  const reader = new Reader(file, 0, { least: 4096, most: 4096 });
  while (reader.position < file.size) {
    const start = reader.position;
    const header = view(await reader.peek(LARGEST_HEADER));
    expect(header.byteLength >= 8, "The file ends within the header of a box.");
    const { size, length } = sizeOf(header, file.size - start);
    const end = start + size;
    expect(size >= length && end <= file.size, "The file ends before a box does.");
    yield { type: text(header, 4), start, body: start + length, end };
    reader.position = end;
  }
}

/** Split bytes into the boxes that they consist of. */
export function boxesIn(bytes: Uint8Array): Box[] {
  const boxes: Box[] = [];
  const whole = view(bytes);
  for (let start = 0; start < bytes.length;) {
    // QuickTime ends some lists with four zeros.
    if (bytes.length - start < 8 && bytes.subarray(start).every((byte) => !byte)) break;
    expect(bytes.length - start >= 8, "A box ends within the header of another.");
    const rest = new DataView(whole.buffer, whole.byteOffset + start);
    const { size, length } = sizeOf(rest, bytes.length - start);
    expect(size >= length && size <= bytes.length - start, "A box is longer than the one around it.");
    const box = bytes.subarray(start, start + size);
    boxes.push({ type: text(rest, 4), bytes: box, body: box.subarray(length) });
    start += size;
  }
  return boxes;
}

/** Return the first box of a type below `bytes`, by a path such as `mdia/minf/stbl`, or undefined. */
export function find(bytes: Uint8Array, path: string): Box | undefined {
  let box: Box | undefined;
  for (const type of path.split("/")) {
    box = boxesIn(box?.body ?? bytes).find((each) => each.type === type);
    if (!box) return undefined;
  }
  return box;
}

/** Return the body of a box that must be there. */
export function bodyOf(bytes: Uint8Array, path: string): Uint8Array {
  const box = find(bytes, path);
  expect(box !== undefined, `There is no ${path}.`);
  return box.body;
}

export function box(type: string, ...parts: Uint8Array[]): Uint8Array {
  const body = concat(parts);
  return concat([bigEndian(body.length + 8, 4), latin(type), body]);
}

/** Return a box with its children as `change` returns them. A child that becomes null is left out. */
export function rebuilt(type: string, children: readonly Box[], change: (child: Box) => Uint8Array | null): Uint8Array {
  return box(type, ...children.flatMap((child) => change(child) ?? []));
}

export function latin(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

export function text(bytes: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((offset) => bytes.getUint8(at + offset)));
}

function sizeOf(header: DataView, available: number): { size: number; length: number } {
  const size = header.getUint32(0);
  if (size === 0) return { size: available, length: 8 };
  if (size > 1) return { size, length: 8 };
  expect(header.byteLength >= LARGEST_HEADER, "The file ends within the header of a box.");
  return { size: Number(header.getBigUint64(8)), length: LARGEST_HEADER };
}
