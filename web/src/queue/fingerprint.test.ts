import { expect, test } from "vitest";

import { fingerprint, layoutOf } from "./fingerprint";

const file = (bytes: string, name = "talk.mp4", lastModified = 1) => new File([bytes], name, { lastModified });
const long = (end: string) => "x".repeat(300_000) + end;

test("the same file has the same fingerprint", async () => {
  expect(await fingerprint(file("abc"))).toBe(await fingerprint(file("abc")));
});

test.each([
  ["name", file("abc", "other.mp4")],
  ["date", file("abc", "talk.mp4", 2)],
  ["size", file("abcd")],
  ["beginning", file("abd")],
])("a file with another %s has another fingerprint", async (_, other) => {
  expect(await fingerprint(other)).not.toBe(await fingerprint(file("abc")));
});

test("a large file with another end has another fingerprint", async () => {
  expect(await fingerprint(file(long("a")))).not.toBe(await fingerprint(file(long("b"))));
});

const sound = (...parts: string[]) => ({
  bytes: null,
  stream: () =>
    new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
        controller.close();
      },
    }),
});

test("sound that is laid out in the same way is known again, however it comes", async () => {
  expect(await layoutOf(sound("abc", "def"))).toBe(await layoutOf(sound("a", "bcdef")));
  expect(await layoutOf(sound("abc", long("a")))).toBe(await layoutOf(sound("abc" + long("b"))));
});

test("sound that another version of the page lays out in another way is told apart", async () => {
  expect(await layoutOf(sound("abc"))).not.toBe(await layoutOf(sound("abd")));
  expect(await layoutOf({ ...sound("abc"), bytes: 3 })).not.toBe(await layoutOf({ ...sound("abc"), bytes: 4 }));
});
