import { expect, test } from "vitest";

import { readId3, tagBytes } from "./id3";

const bytes = (...parts: (string | number[])[]): number[] =>
  parts.flatMap((part) => (typeof part === "string" ? [...new TextEncoder().encode(part)] : part));
const uint32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const frame = (id: string, ...data: (string | number[])[]) => {
  const body = bytes(...data);
  return bytes(id, uint32(body.length), [0, 0], body);
};
const tag = (...frames: number[][]) => {
  const body = frames.flat();
  return new Uint8Array(bytes("ID3", [3, 0, 0, 0, 0, body.length >> 7, body.length & 127], body, "sound"));
};
const chapter = (start: number, title: string) =>
  frame("CHAP", "c", [0], uint32(start), uint32(start + 1), uint32(~0), uint32(~0), frame("TIT2", [3], title));

test("chapters are found, in their order", () => {
  const found = readId3(tag(chapter(61_500, "Über allem"), chapter(0, "Start")));

  expect(found.chapters).toEqual([
    { start: 0, title: "Start" },
    { start: 61.5, title: "Über allem" },
  ]);
});

test("a cover is a picture that the page can show", async () => {
  const found = readId3(tag(frame("APIC", [0], "image/png", [0, 3], "front", [0], "pixels")));

  expect(found.cover?.type).toBe("image/png");
  expect(await found.cover?.text()).toBe("pixels");
});

test("an MP3 without a tag has neither", () => {
  const sound = new Uint8Array(bytes([0xff, 0xfb], "sound-without-a-tag"));

  expect(tagBytes(sound)).toBe(0);
  expect(readId3(sound)).toEqual({ chapters: [], cover: null });
});

test("a tag that is cut off gives what is whole", () => {
  const whole = tag(chapter(0, "Start"), chapter(1000, "Middle"));

  expect(readId3(whole.subarray(0, 80)).chapters).toEqual([{ start: 0, title: "Start" }]);
});
