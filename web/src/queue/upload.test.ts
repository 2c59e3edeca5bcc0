import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Extraction } from "../sound";
import type { UploadEvents, Upload as UploadType } from "./upload";

/** Stands in for tus-js-client. What it was told is read, and what it would tell is told by the test. */
class FakeTus {
  static all: FakeTus[] = [];
  url: string | null;
  aborted = false;

  constructor(
    readonly body: unknown,
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    readonly options: any,
  ) {
    this.url = options.uploadUrl;
    FakeTus.all.push(this);
  }

  start(): void {}

  async abort(): Promise<void> {
    this.aborted = true;
  }
}

vi.mock("tus-js-client", () => ({ Upload: FakeTus }));
vi.mock("../api/client", () => ({ session: { token: async () => "token", distrust: () => {} } }));
vi.mock("../api/address", () => ({ address: (path: string) => `https://example.com/${path}` }));

const URL_OF_UPLOAD = "https://example.com/v1/uploads/u1";
let online: () => void;
let offline: () => void;
let events: { [name in keyof UploadEvents]: ReturnType<typeof vi.fn> };
let Upload: typeof UploadType;

beforeEach(async () => {
  vi.useFakeTimers();
  FakeTus.all = [];
  online = offline = () => {};
  vi.stubGlobal("navigator", { onLine: true });
  vi.stubGlobal("addEventListener", (name: string, listener: () => void) => {
    if (name === "online") online = listener;
    else offline = listener;
  });
  vi.stubGlobal("removeEventListener", () => {});
  const names = [
    "created",
    "progress",
    "disconnected",
    "accepted",
    "refused",
    "loginNeeded",
    "extractionFailed",
    "fileGone",
  ];
  events = Object.fromEntries(names.map((name) => [name, vi.fn()])) as unknown as typeof events;
  ({ Upload } = await import("./upload"));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const unreadable = (name: string) => {
  const file = new File(["abc"], "talk.mp4");
  file.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("", name)) }) as unknown as Blob;
  return file;
};

async function begin(file = new File(["abc"], "talk.mp4"), extraction: Extraction | null = null) {
  const upload = new Upload({ file, extraction, metadata: {}, key: "k", url: null }, events as UploadEvents);
  await upload.start();
  return upload;
}

const settle = () => vi.advanceTimersByTimeAsync(1000);

test("each attempt has a client of its own, which goes on where the one before was", async () => {
  await begin();
  const [first] = FakeTus.all;
  first!.url = URL_OF_UPLOAD;
  first!.options.onUploadUrlAvailable();

  first!.options.onError(new Error("The network is gone."));
  await settle();

  expect(FakeTus.all).toHaveLength(2);
  expect(first!.aborted).toBe(true);
  expect(FakeTus.all[1]!.options.uploadUrl).toBe(URL_OF_UPLOAD);
});

test("what an older attempt still says or sends is ignored", async () => {
  await begin();
  const [first] = FakeTus.all;
  offline();
  await settle();

  first!.options.onProgress(3, 3);
  first!.options.onSuccess();
  first!.options.onError(new Error("late"));

  expect(FakeTus.all).toHaveLength(2);
  expect(events.progress).not.toHaveBeenCalled();
  expect(events.accepted).not.toHaveBeenCalled();
  await expect(first!.options.onBeforeRequest({})).rejects.toThrow("given up");
});

test.each(["NotReadableError", "NotFoundError"])(
  "a file that gives %s is asked for, and not tried again and again",
  async (name) => {
    await begin(unreadable(name));

    FakeTus.all[0]!.options.onError(new Error("A browser calls it a network error."));
    await settle();

    expect(events.fileGone).toHaveBeenCalledOnce();
    expect(FakeTus.all).toHaveLength(1);
  },
);

/** An extraction that gives what `pull` makes. */
const extraction = (pull: UnderlyingDefaultSource<Uint8Array>["pull"]): Extraction => ({
  mimeType: "audio/mp4",
  bytes: null,
  stream: () => new ReadableStream<Uint8Array>(pull ? { pull } : {}, { highWaterMark: 0 }),
});

async function readFirst(): Promise<void> {
  const { options } = FakeTus.all[0]!;
  const source = await options.fileReader.openFile();
  await source.slice(0, 4).catch((error: unknown) => options.onError(error));
  await settle();
}

test("a doubt while the sound is taken out is told", async () => {
  await begin(
    undefined,
    extraction(() => Promise.reject(new Error("A clock jumps back."))),
  );

  await readFirst();

  expect(events.extractionFailed).toHaveBeenCalledOnce();
});

test("a file that is gone while the sound is taken out is no doubt about the sound", async () => {
  await begin(
    unreadable("NotReadableError"),
    extraction(() => Promise.reject(new DOMException("", "NotReadableError"))),
  );

  await readFirst();

  expect(events.fileGone).toHaveBeenCalledOnce();
  expect(events.extractionFailed).not.toHaveBeenCalled();
});

test("an upload that is stopped while it reads says nothing", async () => {
  const upload = await begin(
    undefined,
    extraction(() => new Promise(() => {})),
  );
  const reading = readFirst();
  await vi.advanceTimersByTimeAsync(0);

  upload.stop();
  await Promise.all([reading, settle()]);

  expect(events.extractionFailed).not.toHaveBeenCalled();
});

test("reading for long is not standing still, and a minute without a sign of life is", async () => {
  let reads = 0;
  await begin(
    undefined,
    extraction(async (controller) => {
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      controller.enqueue(new Uint8Array(1));
      reads += 1;
    }),
  );
  const source = await FakeTus.all[0]!.options.fileReader.openFile();
  void source.slice(0, 5).catch(() => {});

  await vi.advanceTimersByTimeAsync(150_000);
  expect([reads, FakeTus.all.length]).toEqual([5, 1]);

  await vi.advanceTimersByTimeAsync(65_000);
  expect(FakeTus.all).toHaveLength(2);
});

test("a network that is back is used at once", async () => {
  await begin();
  for (let i = 0; i < 4; i += 1) {
    FakeTus.all.at(-1)!.options.onError(new Error("The network is gone."));
    await vi.advanceTimersByTimeAsync(i < 3 ? 10_000 : 0);
  }
  expect(FakeTus.all).toHaveLength(4);

  online();
  await vi.advanceTimersByTimeAsync(0);

  expect(FakeTus.all).toHaveLength(5);
});
