import { expect, test } from "vitest";
import { concat } from "./bytes";
import { collect } from "./collect";
import { Doubt } from "./cut";
import { cutMpegTs } from "./mpegTs";

const LIST = 0x1000;
const VIDEO = 0x100;
const AUDIO = 0x101;
const CLOCK = 90_000;

function packet(pid: number, payload: number[], { starts = true, scrambled = false } = {}): Uint8Array {
  const filling = 184 - payload.length;
  const header = [0x47, (starts ? 0x40 : 0) | (pid >> 8), pid & 0xff, (filling ? 0x30 : 0x10) | (scrambled ? 0x80 : 0)];
  const field = filling
    ? [filling - 1, ...(filling > 1 ? [0] : []), ...Array(Math.max(filling - 2, 0)).fill(0xff)]
    : [];
  return Uint8Array.from([...header, ...field, ...payload]);
}

const programs = packet(0, [0, 0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00, 0, 0, 0, 0]);
const list = packet(LIST, [
  ...[0, 0x02, 0xb0, 23, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0],
  ...[0x1b, 0xe1, 0x00, 0xf0, 0],
  ...[0x0f, 0xe1, 0x01, 0xf0, 0],
  ...[0, 0, 0, 0],
]);

function unit(pid: number, seconds: number): Uint8Array {
  const time = Math.round(seconds * CLOCK);
  const stamp = [
    0x21 | ((time >> 29) & 0x0e),
    (time >> 22) & 0xff,
    ((time >> 14) & 0xfe) | 1,
    (time >> 7) & 0xff,
    ((time << 1) & 0xfe) | 1,
  ];
  return packet(pid, [0, 0, 1, pid === VIDEO ? 0xe0 : 0xc0, 0, 0, 0x80, 0x80, 5, ...stamp, ...Array(100).fill(7)]);
}

function stream(...more: Uint8Array[]): Blob {
  return new Blob([programs, list, ...more] as BlobPart[]);
}

async function cut(file: Blob): Promise<Uint8Array[]> {
  const bytes = concat(await collect((await cutMpegTs(file)).parts()));
  return Array.from({ length: bytes.length / 188 }, (_, number) => bytes.subarray(188 * number, 188 * (number + 1)));
}

function pidOf([, high = 0, low = 0]: Uint8Array): number {
  return ((high & 0x1f) << 8) | low;
}

const tenSeconds = Array.from({ length: 251 }, (_, frame) => [unit(VIDEO, frame / 25), unit(AUDIO, frame / 25)]).flat();

test("packets of sound stay as they are", async () => {
  const packets = await cut(stream(...tenSeconds));

  const sound = packets.filter((each) => pidOf(each) === AUDIO);
  expect(sound).toEqual(tenSeconds.filter((each) => pidOf(each) === AUDIO));
});

test("of the pictures there is a tiny one for each second, so that a pause of the sound is not taken for a jump", async () => {
  const packets = await cut(stream(...tenSeconds));

  expect(packets.filter((each) => pidOf(each) === VIDEO)).toHaveLength(11);
});

test("the list of streams calls the pictures what they have become", async () => {
  const [, rewritten] = await cut(stream(...tenSeconds));

  const section = rewritten!.subarray(188 - 26);
  expect([...section.subarray(12, 22)]).toEqual([0x02, 0xe1, 0x00, 0xf0, 0, 0x0f, 0xe1, 0x01, 0xf0, 0]);
  // A section followed by its own checksum has the checksum 0.
  expect(remainder(section)).toBe(0);
});

test.each([
  ["a time that jumps back", [unit(VIDEO, 9), unit(AUDIO, 9), unit(VIDEO, 1)], "jumps back"],
  ["encryption", [packet(AUDIO, [0, 0, 1], { scrambled: true })], "encrypted"],
  [
    "a list of other streams on the way",
    [packet(LIST, [0, 0x02, 0xb0, 18, ...Array(18).fill(1)]), unit(AUDIO, 0)],
    "change",
  ],
  ["a soundtrack that never comes", [], "empty"],
  ["lost bytes", [unit(AUDIO, 0).subarray(1), Uint8Array.of(0)], "does not begin"],
])("%s is a doubt", async (_, packets, doubt) => {
  await expect(cut(stream(unit(VIDEO, 0), unit(VIDEO, 0.04), ...packets))).rejects.toThrow(doubt);
});

test("a file that ends within a packet is a doubt", async () => {
  await expect(cutMpegTs(stream(unit(AUDIO, 0).subarray(1)))).rejects.toThrow(Doubt);
});

function remainder(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const carry = ((sum >>> 31) ^ (byte >> bit)) & 1;
      sum = (sum << 1) ^ (carry ? 0x04c11db7 : 0);
    }
  }
  return sum >>> 0;
}
