/** What a player shows of an MP3's ID3v2.3 or ID3v2.4 tag: https://id3.org/id3v2.3.0, https://id3.org/id3v2-chapters-1.0 */
export interface Id3 {
  chapters: { start: number; title: string }[];
  cover: Blob | null;
}

export const HEADER_BYTES = 10;

/** The size of the tag in bytes, header included; 0 if there is none. */
export function tagBytes(beginning: Uint8Array): number {
  if (beginning.length < HEADER_BYTES || text(beginning.subarray(0, 3)) !== "ID3") return 0;
  return HEADER_BYTES + syncsafe(beginning, 6);
}

/** Read chapters and cover. What cannot be read is left out. */
export function readId3(bytes: Uint8Array): Id3 {
  const found: Id3 = { chapters: [], cover: null };
  if (tagBytes(bytes) === 0) return found;
  for (const { id, data } of frames(bytes, HEADER_BYTES, bytes[3]!)) {
    if (id === "CHAP") {
      const end = data.indexOf(0);
      const title = [...frames(data, end + 17, bytes[3]!)].find((frame) => frame.id === "TIT2");
      found.chapters.push({
        start: uint32(data, end + 1) / 1000,
        title: title ? decoded(title.data) : "",
      });
    }
    if (id === "APIC") found.cover ??= picture(data);
  }
  found.chapters.sort((a, b) => a.start - b.start);
  return found;
}

function* frames(bytes: Uint8Array, from: number, version: number): Generator<{ id: string; data: Uint8Array }> {
  let at = from;
  while (at + 10 <= bytes.length && bytes[at] !== 0) {
    const length = version === 4 ? syncsafe(bytes, at + 4) : uint32(bytes, at + 4);
    if (at + 10 + length > bytes.length) return;
    yield {
      id: text(bytes.subarray(at, at + 4)),
      data: bytes.subarray(at + 10, at + 10 + length),
    };
    at += 10 + length;
  }
}

function picture(data: Uint8Array): Blob | null {
  const endOfType = data.indexOf(0, 1);
  const type = text(data.subarray(1, endOfType));
  const wide = data[0] === 1 || data[0] === 2;
  let end = endOfType + 2;
  if (wide) while (end + 1 < data.length && (data[end] !== 0 || data[end + 1] !== 0)) end += 2;
  else end = data.indexOf(0, end);
  if (end < 0 || !/^image\/(jpeg|png)$/.test(type)) return null;
  return new Blob([data.slice(end + (wide ? 2 : 1))], { type });
}

function decoded(data: Uint8Array): string {
  const encodings = ["latin1", "utf-16", "utf-16be", "utf-8"];
  return new TextDecoder(encodings[data[0]!] ?? "latin1").decode(data.subarray(1)).replace(/\0+$/, "");
}

const text = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const uint32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
const syncsafe = (bytes: Uint8Array, at: number): number =>
  bytes.subarray(at, at + 4).reduce((value, byte) => value * 128 + (byte & 127), 0);
