import { beforeEach, describe, expect, test, vi } from "vitest";

import type { Conversion } from "../api/client";
import { Problem, Unreachable } from "../api/problem";
import { notices } from "../notices.svelte";
import { Library, matching, MOST_SELECTED, withFirstPage } from "./library.svelte";
import { removals } from "./removals";

const { api, storage } = vi.hoisted(() => {
  const items = new Map<string, string>();
  return {
    api: { list: vi.fn(), watch: vi.fn(), remove: vi.fn(), removeAtLast: vi.fn() },
    storage: {
      getItem: (key: string) => items.get(key) ?? null,
      setItem: (key: string, value: string) => void items.set(key, value),
      removeItem: (key: string) => void items.delete(key),
      clear: () => items.clear(),
    } as Storage,
  };
});
vi.mock("../api/client", () => ({ api, session: { storage } }));

beforeEach(() => {
  vi.useFakeTimers();
  for (const call of Object.values(api)) call.mockReset();
  storage.clear();
  return () => {
    notices.items = [];
    vi.useRealTimers();
  };
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

/** A conversion that was begun so many minutes after others. */
const at = (minute: number, state = "completed") =>
  ({
    ...conversion(`${minute}.mp4`, state),
    id: `c${minute}`,
    created_at: `2026-01-01T00:${String(minute).padStart(2, "0")}:00Z`,
  }) as Conversion;
const names = (items: readonly Conversion[]) => items.map(({ id }) => id);
const page = (items: Conversion[], next_cursor: string | null = null) => ({ items, next_cursor });

async function opened(items: Conversion[], cursor: string | null = null): Promise<Library> {
  const library = new Library();
  api.list.mockResolvedValueOnce(page(items, cursor));
  await library.load();
  return library;
}

describe("the list", () => {
  test("keeps what was fetched with Show more when the newest are fetched again", async () => {
    const library = await opened([at(5), at(4)], "older");
    api.list.mockResolvedValueOnce(page([at(3), at(2)], "oldest"));
    await library.more();

    api.list.mockResolvedValueOnce(page([at(6), at(5)], "older"));
    await library.load();

    expect(names(library.items)).toEqual(["c6", "c5", "c4", "c3", "c2"]);
    api.list.mockResolvedValueOnce(page([at(1)]));
    await library.more();
    expect(api.list).toHaveBeenLastCalledWith("oldest", 50);
  });

  test("has no gap where so much is new that nothing of the first page is known", () => {
    expect(withFirstPage([at(2), at(1)], [at(9), at(8)])).toEqual({ items: [at(9), at(8)], overlaps: false });
  });

  test("loses what was deleted elsewhere", () => {
    expect(names(withFirstPage([at(4), at(3), at(2)], [at(4), at(2)]).items)).toEqual(["c4", "c2"]);
  });

  test("is fetched in one request at a time", async () => {
    const library = await opened([at(5)], "older");
    let answer!: (value: unknown) => void;
    api.list.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    api.list.mockResolvedValueOnce(page([at(4)], null));

    const both = Promise.all([library.load(), library.more()]);
    await vi.advanceTimersByTimeAsync(0);
    expect(api.list).toHaveBeenCalledTimes(2);
    answer(page([at(6), at(5)], "older"));
    await both;

    expect(names(library.items)).toEqual(["c6", "c5", "c4"]);
  });

  test("stays empty when an answer comes after the person has logged out", async () => {
    const library = new Library();
    let answer!: (value: unknown) => void;
    api.list.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
    const loading = library.load();
    await vi.advanceTimersByTimeAsync(0);

    library.clear();
    answer(page([at(1)]));
    await loading;

    expect(library.items).toEqual([]);
  });
});

describe("what is under way", () => {
  test("is asked for by its ids, and nothing else is", async () => {
    const library = await opened([at(3, "converting"), at(2), at(1, "queued")], "older");
    api.watch.mockResolvedValueOnce({ items: [at(3), at(1, "converting")], etag: '"1"' });

    await library.watch();

    expect(api.watch).toHaveBeenCalledExactlyOnceWith(["c3", "c1"], null);
    expect(library.items.map(({ state }) => state)).toEqual(["completed", "completed", "converting"]);
    expect(api.list).toHaveBeenCalledOnce();
  });

  test("costs nothing while it does not change", async () => {
    const library = await opened([at(1, "queued")]);
    api.watch.mockResolvedValueOnce({ items: [at(1, "queued")], etag: '"1"' });
    await library.watch();
    api.watch.mockResolvedValueOnce(null);

    await library.watch();

    expect(api.watch).toHaveBeenLastCalledWith(["c1"], '"1"');
    expect(names(library.items)).toEqual(["c1"]);
  });

  test("leaves the list when it was deleted elsewhere", async () => {
    const library = await opened([at(2, "queued"), at(1)]);
    api.watch.mockResolvedValueOnce({ items: [], etag: null });

    await library.watch();

    expect(names(library.items)).toEqual(["c1"]);
  });
});

describe("a selection", () => {
  const many = Array.from({ length: MOST_SELECTED + 1 }, (_, index) => ({ ...at(1), id: `c${index}` }));

  test("is full when one ZIP is, and says so", async () => {
    const library = await opened(many);

    const selected = many.map(({ id }) => library.select(id, true));

    expect(selected.at(-2)).toBe(true);
    expect(selected.at(-1)).toBe(false);
    expect(library.selected.size).toBe(MOST_SELECTED);
  });

  test("has nothing that a filter or a search hides", async () => {
    const library = await opened([at(2), at(1)]);
    library.select("c2", true);
    library.select("c1", true);

    library.search = "2.mp4";

    expect([...library.selected]).toEqual(["c2"]);
  });
});

describe("a deletion", () => {
  const GONE_MS = 7000;

  test("reaches the service when it cannot be undone any more", async () => {
    const library = await opened([at(2), at(1)]);
    library.remove(["c2"]);
    expect(api.remove).not.toHaveBeenCalled();

    await vi.advanceTimersByTimeAsync(GONE_MS);

    expect(api.remove).toHaveBeenCalledExactlyOnceWith("c2");
    expect(names(library.items)).toEqual(["c1"]);
  });

  test("of what is gone already brings no dead row back", async () => {
    const library = await opened([at(2), at(1)]);
    api.remove.mockRejectedValueOnce(new Problem(404, "not-found", ""));
    library.remove(["c2"]);

    await vi.advanceTimersByTimeAsync(GONE_MS);

    expect(names(library.items)).toEqual(["c1"]);
    expect(notices.items).toEqual([]);
  });

  test("that fails brings the row back, with the reason", async () => {
    const library = await opened([at(2), at(1)]);
    api.remove.mockRejectedValueOnce(new Unreachable());
    library.remove(["c2"]);

    await vi.advanceTimersByTimeAsync(GONE_MS);

    expect(names(library.items)).toEqual(["c2", "c1"]);
    expect(notices.items).toHaveLength(1);
  });

  test("outlives a page that is closed: the next start makes up for it", async () => {
    const closing = await opened([at(2), at(1)]);
    closing.remove(["c2"]);
    closing.leave();
    expect(api.removeAtLast).toHaveBeenCalledExactlyOnceWith("c2");
    expect(api.remove).not.toHaveBeenCalled();

    // Meanwhile, the service may still list it.
    expect(names((await opened([at(2), at(1)])).items)).toEqual(["c1"]);
    // The first start has no network, and the second one finds that the request had arrived.
    api.remove.mockRejectedValueOnce(new Unreachable());
    await new Library().finish();
    expect(removals.kept(storage)).toEqual(["c2"]);
    api.remove.mockRejectedValueOnce(new Problem(404, "not-found", ""));
    await new Library().finish();

    expect(removals.kept(storage)).toEqual([]);
  });

  test("that was undone after the page came back from the browser's cache is none", async () => {
    const library = await opened([at(1)]);
    library.remove(["c1"]);
    library.leave();

    notices.items[0]!.action!.run();

    expect(removals.kept(storage)).toEqual([]);
    expect(names(library.items)).toEqual(["c1"]);
  });

  test("of somebody who has logged out brings nothing into the list of the next person", async () => {
    const library = await opened([at(1)]);
    library.remove(["c1"]);
    library.clear();

    notices.items[0]!.action!.run();

    expect(library.items).toEqual([]);
  });
});
