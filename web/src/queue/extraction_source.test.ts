import { expect, test, vi } from "vitest";

import { ExtractionSource } from "./extraction_source";

function streamOf(parts: readonly string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
}

function extraction(...parts: string[]) {
  return {
    mimeType: "audio/mp4",
    bytes: null,
    stream: vi.fn(() => streamOf(parts)),
  };
}

async function read(source: ExtractionSource, start: number, end: number) {
  const { value, done } = await source.slice(start, end);
  return [(await value?.text()) ?? null, done];
}

test("slices are cut as they are wanted, not as they come", async () => {
  const source = new ExtractionSource(extraction("abc", "defg", "h"));

  expect(await read(source, 0, 4)).toEqual(["abcd", false]);
  expect(await read(source, 4, 8)).toEqual(["efgh", false]);
  expect(await read(source, 8, 12)).toEqual([null, true]);
});

test("the last slice says that it is the last", async () => {
  const source = new ExtractionSource(extraction("abc", "de"));

  expect(await read(source, 0, 4)).toEqual(["abcd", false]);
  expect(await read(source, 4, 8)).toEqual(["e", true]);
});

test("an upload that resumes in the middle skips what is there already", async () => {
  const source = new ExtractionSource(extraction("abc", "defg", "h"));

  expect(await read(source, 5, 7)).toEqual(["fg", false]);
});

test("bytes that arrived only in part are sent again without reading the file again", async () => {
  const of = extraction("abcdefgh");
  const source = new ExtractionSource(of);

  await read(source, 0, 4);
  expect(await read(source, 2, 6)).toEqual(["cdef", false]);
  expect(of.stream).toHaveBeenCalledTimes(1);
});

test("bytes that lie further back are read again from the beginning", async () => {
  const source = new ExtractionSource(extraction("abcd", "efgh"));

  await read(source, 4, 8);
  expect(await read(source, 0, 4)).toEqual(["abcd", false]);
});

test("a file that is shorter than before is not silently cut off", async () => {
  const source = new ExtractionSource(extraction("abc"));

  await expect(source.slice(5, 9)).rejects.toThrow("shorter");
  expect(source.broken).not.toBeNull();
});

test("a source that was closed gives nothing more, and is not broken", async () => {
  let give: () => void = () => {};
  const source = new ExtractionSource({
    stream: () =>
      new ReadableStream({
        pull: (controller) =>
          new Promise((resolve) => {
            give = () => (controller.enqueue(new Uint8Array(8)), resolve());
          }),
      }),
  });
  const pending = source.slice(0, 4);
  await Promise.resolve();

  source.close();
  expect(() => give()).toThrow();

  await expect(pending).rejects.toThrow("closed");
  await expect(source.slice(0, 4)).rejects.toThrow("closed");
  expect(source.broken).toBeNull();
});

test("reading is told while there is no slice yet", async () => {
  const read = vi.fn();
  const source = new ExtractionSource(extraction("ab", "cd", "ef", "gh"), read);

  await source.slice(6, 8);

  expect(read).toHaveBeenCalledTimes(4);
});
