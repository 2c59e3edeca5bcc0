import { beforeAll, expect, test, vi } from "vitest";

import type { Conversion } from "../api/client";

let matching: typeof import("./library.svelte").matching;

beforeAll(async () => {
  // The client looks for these when it loads.
  vi.stubGlobal("localStorage", { getItem: () => null });
  vi.stubGlobal("sessionStorage", { getItem: () => null });
  ({ matching } = await import("./library.svelte"));
});

const conversion = (filename: string, state = "completed", title: string | null = null) =>
  ({
    filename,
    state,
    options: { title, artist: null, album: null },
  }) as Conversion;

const all = [
  conversion("Holiday in Rome.mp4"),
  conversion("talk.mkv", "converting"),
  conversion("VID_0001.mov", "failed", "Rome by night"),
  conversion("old.mp4", "cancelled"),
];
const found = (search: string, filter: Parameters<typeof matching>[2] = "all") =>
  matching(all, search, filter).map(({ filename }) => filename);

test("a search finds names and titles, whatever the case", () => {
  expect(found("rome")).toEqual(["Holiday in Rome.mp4", "VID_0001.mov"]);
});

test("all words of a search have to be found", () => {
  expect(found("rome  holiday")).toEqual(["Holiday in Rome.mp4"]);
});

test("a state narrows the list, and what was cancelled is in none", () => {
  expect(found("", "running")).toEqual(["talk.mkv"]);
  expect(found("")).toHaveLength(3);
});
