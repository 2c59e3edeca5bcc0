import { beforeAll, expect, test, vi } from "vitest";

let routeOf: typeof import("./route.svelte").routeOf;

beforeAll(async () => {
  vi.stubGlobal("location", { hash: "" });
  vi.stubGlobal("addEventListener", () => {});
  ({ routeOf } = await import("./route.svelte"));
});

test.each([
  ["", "home"],
  ["#/", "home"],
  ["#/library", "library"],
  ["#/account", "account"],
  ["#/of-tomorrow", "lost"],
  ["#/link", "lost"],
  ["#/link/", "lost"],
])("%s leads to %s", (hash, page) => expect(routeOf(hash).page).toBe(page));

test("a link has a token of one segment, so that it leads nowhere else", () => {
  expect(routeOf("#/link/abc.def")).toEqual({ page: "link", token: "abc.def" });
  expect(routeOf("#/link/../conversions/zip")).toEqual({ page: "lost" });
});
