import { beforeEach, expect, test, vi } from "vitest";

import type { Unfinished, UnfinishedUploads as Uploads } from "./unfinished";

vi.mock("../api/client", () => ({ session: { isPassing: false } }));

let storages: [Storage, Storage];
let uploads: Uploads;

const upload = (key: string, user: string | null = "ann") => ({ key, user, name: `${key}.mp4` }) as Unfinished;
const keys = (user: string | null) => uploads.of(user).map(({ key }) => key);

beforeEach(async () => {
  const { UnfinishedUploads } = await import("./unfinished");
  storages = [memory(), memory()];
  uploads = new UnfinishedUploads(() => storages);
});

function memory(): Storage {
  const stored = new Map<string, string>();
  return {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
  } as unknown as Storage;
}

test("an upload is remembered once, as it was last", () => {
  uploads.keep({ ...upload("a"), sentBytes: 1 });
  uploads.keep({ ...upload("a"), sentBytes: 2 });

  expect(uploads.of("ann").map(({ sentBytes }) => sentBytes)).toEqual([2]);
});

test("nobody sees the uploads of another person", () => {
  uploads.keep(upload("a"));
  uploads.keep(upload("b", "bob"));

  expect([keys("ann"), keys("bob"), keys(null)]).toEqual([["a"], ["b"], []]);
});

test("what is forgotten leaves the others", () => {
  for (const key of ["a", "b"]) uploads.keep(upload(key));

  uploads.forget("a");

  expect(keys("ann")).toEqual(["b"]);
});

test("what is forgotten is so in both storages, since the session it was begun in may be over", () => {
  uploads.keep(upload("a"));
  storages.reverse();

  uploads.forget("a");

  storages.reverse();
  expect(keys("ann")).toEqual([]);
});

test("what cannot be read is as nothing", () => {
  storages[0].setItem("video2mp3.uploads", "{");

  expect(keys("ann")).toEqual([]);
});
