import { beforeEach, expect, test, vi } from "vitest";

import type { Conversion } from "../api/client";
import type { Extraction, Sound } from "../sound";
import type { FileHandle } from "./handles";
import type { Unfinished } from "./unfinished";
import type { UploadEvents, UploadRequest } from "./upload";

interface FakeUpload {
  request: UploadRequest;
  events: UploadEvents;
  stopped: boolean;
}

const world = vi.hoisted(() => ({
  uploads: [] as FakeUpload[],
  tusLoaded: 0,
  looks: 0,
  mostLooks: 0,
  sound: null as Sound | null,
  looking: Promise.resolve(),
  requireLogin: async () => true,
  isPassing: false,
  api: {} as Record<string, ReturnType<typeof vi.fn>>,
  stored: [] as Unfinished[],
  handles: new Map<string, FileHandle>(),
  shown: [] as string[],
  locked: new Set<string>(),
}));

vi.mock("tus-js-client", () => ((world.tusLoaded += 1), {}));
vi.mock("../account/account.svelte", () => ({ account: { require: () => world.requireLogin() } }));
vi.mock("../api/client", () => ({
  api: new Proxy({}, { get: (_, name: string) => world.api[name] }),
  session: {
    user: "ann",
    exists: true,
    get isPassing() {
      return world.isPassing;
    },
  },
}));
vi.mock("../lang", () => ({
  t: {
    unreachable: "unreachable",
    problems: {},
    failures: {},
    item: {},
    said: { failed: () => "", completed: () => "" },
  },
}));
vi.mock("../notices.svelte", () => ({ notices: { say: () => {}, show: (text: string) => world.shown.push(text) } }));
vi.mock("../options/preferences.svelte", () => ({ preferences: { onlySound: true, startAtOnce: false } }));
vi.mock("../options/options", () => ({ optionValues: () => ({}), needsPicture: () => false, NO_CHOICES: {} }));
vi.mock("../sound", () => ({
  async openSound() {
    world.looks += 1;
    world.mostLooks = Math.max(world.mostLooks, world.looks);
    await world.looking;
    world.looks -= 1;
    return world.sound;
  },
}));
vi.mock("./handles", () => ({
  handles: {
    keep: async (key: string, handle: FileHandle) => void world.handles.set(key, handle),
    forget: async (key: string) => void world.handles.delete(key),
    get: async (key: string) => world.handles.get(key) ?? null,
  },
  fileBehind: async (handle: FileHandle) => handle.getFile(),
}));
vi.mock("./unfinished", () => ({
  unfinished: {
    of: () => world.stored,
    keep: (upload: Unfinished) => {
      world.stored = [...world.stored.filter(({ key }) => key !== upload.key), upload];
    },
    forget: (key: string) => (world.stored = world.stored.filter((upload) => upload.key !== key)),
  },
}));
vi.mock("./upload", () => ({
  Upload: class {
    stopped = false;
    constructor(
      readonly request: UploadRequest,
      readonly events: UploadEvents,
    ) {
      world.uploads.push(this);
    }
    async start() {}
    stop() {
      this.stopped = true;
    }
  },
}));

let queue: typeof import("./queue.svelte").queue;
let Problem: typeof import("../api/problem").Problem;
let Unreachable: typeof import("../api/problem").Unreachable;

beforeEach(async () => {
  Object.assign(world, {
    uploads: [],
    tusLoaded: 0,
    looks: 0,
    mostLooks: 0,
    sound: null,
    looking: Promise.resolve(),
    requireLogin: async () => true,
    isPassing: false,
    api: { endUpload: vi.fn(async () => {}), list: vi.fn(async () => ({ items: [], next_cursor: null })) },
    stored: [],
    handles: new Map(),
    shown: [],
    locked: new Set(),
  });
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("navigator", {
    locks: {
      request: async (name: string, ...rest: unknown[]) => {
        const work = rest.at(-1) as (lock: unknown) => Promise<void> | undefined;
        if (rest.length > 1 && world.locked.has(name)) return work(null);
        world.locked.add(name);
        await work({ name });
        world.locked.delete(name);
      },
    },
  });
  vi.resetModules();
  ({ queue } = await import("./queue.svelte"));
  ({ Problem, Unreachable } = await import("../api/problem"));
});

const talk = (content = "abc") => new File([content], "talk.mp4", { lastModified: 1 });
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const handleOf = (file: File) => ({ getFile: async () => file }) as FileHandle;

/** Something that a test lets go on. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

function soundOf(content: string, bytes: number | null = null): Sound {
  const extraction: Extraction = {
    mimeType: "audio/mp4",
    bytes,
    stream: () =>
      new ReadableStream<Uint8Array>({
        start(controller) {
          controller.enqueue(new TextEncoder().encode(content));
          controller.close();
        },
      }),
  };
  return { duration: null, title: null, tracks: [], extraction: async () => extraction };
}

async function sending(handle?: FileHandle) {
  await queue.add([handle ? { file: talk(), handle } : { file: talk() }]);
  await queue.start();
  await settled();
  const item = queue.items[0]!;
  const upload = world.uploads.at(-1)!;
  upload.events.created("https://example.com/v1/uploads/u1");
  return { item, upload };
}

const conversion = (id: string, state: Conversion["state"]) =>
  ({ id, state, filename: `${id}.mp4`, progress: 0, created_at: id, video: { bytes: 1 }, error: null }) as Conversion;

test("a visit without a file loads nothing", async () => {
  await queue.add([]);

  expect(world.tusLoaded).toBe(0);
});

test("only two files are looked into at a time", async () => {
  const { open, opened } = gate();
  world.looking = opened;

  await queue.add([1, 2, 3, 4, 5].map((n) => ({ file: talk(`${n}`) })));
  await settled();
  expect(world.mostLooks).toBe(2);
  open();
  await settled();

  expect([world.looks, world.mostLooks]).toEqual([0, 2]);
});

test("pressing twice goes on once", async () => {
  const { item } = await sending();
  queue.pause(item);
  const before = world.uploads.length;

  await Promise.all([queue.resume(item), queue.resume(item)]);
  await settled();

  expect(world.uploads.length).toBe(before + 1);
});

test("what is cancelled while the login waits stays cancelled", async () => {
  const { item, upload } = await sending();
  const { open, opened } = gate();
  world.requireLogin = async () => (await opened, true);
  upload.events.loginNeeded();

  await queue.cancel(item);
  open();
  await settled();

  expect(item.state).toBe("cancelled");
  expect(world.uploads).toHaveLength(1);
});

test("what is cancelled while it is looked into stays cancelled", async () => {
  world.sound = soundOf("sound");
  const { item } = await sending();
  queue.pause(item);
  const { open, opened } = gate();
  world.looking = opened;
  await queue.resume(item);

  await queue.cancel(item);
  open();
  await settled();

  expect(item.state).toBe("cancelled");
  expect(world.uploads).toHaveLength(1);
});

test("sound that breaks off right after a lost connection is sent as a whole file", async () => {
  world.sound = soundOf("sound");
  const { item, upload } = await sending(handleOf(talk()));
  const { key } = item;
  upload.events.disconnected();

  upload.events.extractionFailed();
  await settled();

  expect(item.state).toBe("sending");
  expect(world.uploads.at(-1)!.request).toMatchObject({ extraction: null, url: null });
  // The handle moves to the new upload, and nothing of the old one stays at the service.
  expect([...world.handles.keys()]).toEqual([item.key]);
  expect(item.key).not.toBe(key);
  expect(world.api["endUpload"]).toHaveBeenCalledWith("https://example.com/v1/uploads/u1");
});

test("sound that is laid out as before goes on where it was", async () => {
  world.sound = soundOf("sound");
  const { item } = await sending();
  queue.pause(item);

  await queue.resume(item);
  await settled();

  expect(world.uploads.at(-1)!.request.url).toBe("https://example.com/v1/uploads/u1");
});

test("sound that another version of the page has laid out begins again", async () => {
  world.sound = soundOf("sound");
  const { item } = await sending();
  queue.pause(item);
  world.sound = soundOf("another sound");

  await queue.resume(item);
  await settled();

  expect(world.uploads.at(-1)!.request.url).toBeNull();
  expect(world.uploads.at(-1)!.request.extraction).not.toBeNull();
  expect(world.api["endUpload"]).toHaveBeenCalledWith("https://example.com/v1/uploads/u1");
});

test("a file that is gone is asked for, and another one in its place is not taken", async () => {
  const { item, upload } = await sending(handleOf(talk("changed")));

  upload.events.fileGone();

  expect([item.state, item.file]).toEqual(["paused", null]);
  expect(await queue.resume(item)).toBe(false);
});

test("a file that is gone when its upload goes on costs nothing of what was sent", async () => {
  world.sound = soundOf("sound");
  const { item } = await sending();
  queue.pause(item);
  const gone = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError")) });
  item.file!.slice = gone as unknown as File["slice"];
  world.sound = null;

  await queue.resume(item);
  await settled();

  expect([item.state, item.file, item.uploadUrl]).toEqual(["paused", null, "https://example.com/v1/uploads/u1"]);
  expect(world.api["endUpload"]).not.toHaveBeenCalled();
});

test("nothing is sent after a logout, even if it was being looked into", async () => {
  world.sound = soundOf("sound");
  const { open, opened } = gate();
  world.looking = opened;
  await queue.add([{ file: talk() }]);
  await queue.start();

  queue.clear();
  open();
  await settled();

  expect(world.uploads).toEqual([]);
  expect(world.stored).toEqual([]);
});

test("an upload that another tab is sending is neither shown nor remembered here", async () => {
  const { item } = await sending();
  const kept = world.stored;
  vi.resetModules();
  const { queue: other } = await import("./queue.svelte");

  await other.restore();
  world.stored = [];
  other.keepAll();

  expect(kept.map(({ key }) => key)).toEqual([item.key]);
  expect(other.items).toEqual([]);
  expect(world.stored).toEqual([]);
});

test("an upload whose tab was closed is taken up, and remembered for its person", async () => {
  await sending();
  world.locked.clear();
  vi.resetModules();
  const { queue: other } = await import("./queue.svelte");

  await other.restore();

  expect(other.items.map(({ state }) => state)).toEqual(["paused"]);
  expect(world.stored.map(({ user }) => user)).toEqual(["ann"]);
});

test("on a device that is not the person's own no handle is kept", async () => {
  world.isPassing = true;
  await sending(handleOf(talk()));

  expect(world.handles.size).toBe(0);
});

test("a conversion that could not be cancelled goes on, and the person is told", async () => {
  const { item, upload } = await sending();
  upload.events.accepted("u1");
  world.api["remove"] = vi.fn(async () => Promise.reject(new Problem(503, "unavailable", "Try again later.")));

  await queue.cancel(item);

  expect(item.state).toBe("queued");
  expect(world.shown).toEqual(["Try again later."]);
});

test("a conversion that is gone already is cancelled", async () => {
  const { item, upload } = await sending();
  upload.events.accepted("u1");
  world.api["remove"] = vi.fn(async () => Promise.reject(new Problem(404, "not-found", "")));

  await queue.cancel(item);

  expect(item.state).toBe("cancelled");
});

test("pressing retry twice asks for it once", async () => {
  const { item, upload } = await sending();
  upload.events.accepted("c1");
  item.observe(conversion("c1", "failed"));
  world.api["retry"] = vi.fn(async () => conversion("c1", "queued"));

  await Promise.all([queue.retry(item), queue.retry(item)]);

  expect(world.api["retry"]).toHaveBeenCalledOnce();
  expect(item.state).toBe("queued");
});

test("all conversions under way are taken up, once the service can be reached", async () => {
  const pages: Record<string, { items: Conversion[]; next_cursor: string | null }> = {
    queued: { items: [conversion("1", "queued")], next_cursor: "more" },
    more: { items: [conversion("2", "queued")], next_cursor: null },
    converting: { items: [conversion("3", "converting")], next_cursor: null },
  };
  world.api["list"] = vi
    .fn(async (cursor: string | null, _: number, state: string) => pages[cursor ?? state])
    .mockImplementationOnce(() => Promise.reject(new Unreachable()));

  await queue.takeUp();

  expect(queue.items.map(({ conversionId }) => conversionId)).toEqual(["1", "2", "3"]);
});

test("a conversion whose upload still waits for its answer has one row", async () => {
  await sending();
  world.api["list"] = vi.fn(async (_cursor: null, _limit: number, state: string) => ({
    items: state === "queued" ? [conversion("u1", "queued")] : [],
    next_cursor: null,
  }));

  await queue.takeUp();

  expect(queue.items).toHaveLength(1);
});
