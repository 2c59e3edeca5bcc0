import { beforeEach, expect, test, vi } from "vitest";

import { problemOf, Unreachable } from "../api/problem";
import { isGone, mp3Address } from "./link";

beforeEach(() => void vi.stubGlobal("document", { baseURI: "https://example.com/prod/" }));

test.each([403, 404, 410])("a link that is answered with %d no longer works", (status) =>
  expect(isGone(problemOf(status, ""))).toBe(true),
);

test.each([429, 500, 502, 503])("a link that is answered with %d may work in a moment", (status) =>
  expect(isGone(problemOf(status, ""))).toBe(false),
);

test("a link that cannot be looked up without a network may work with one", () => {
  expect(isGone(new Unreachable())).toBe(false);
});

test("a token leads to a download, whatever is in it", () => {
  expect(mp3Address("abc.d-_f")).toBe("https://example.com/prod/v1/downloads/abc.d-_f");
  expect(mp3Address("../conversions?x#y")).toBe("https://example.com/prod/v1/downloads/..%2Fconversions%3Fx%23y");
});
