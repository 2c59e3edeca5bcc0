import { expect, test } from "vitest";

import { fingerprint } from "./fingerprint";

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
