import { beforeEach, expect, test } from "vitest";
import { openSound } from "./index";
import { bytesOf, concat } from "./bytes";
import { collect } from "./collect";
import { element, elementsIn, UNKNOWN_SIZE } from "./ebml";

const SOUND = 2;
const PICTURES = 1;
const PICTURE = new Uint8Array(100_000).fill(0xee);
const SECONDS = 50;

let reads = 0;

/** A file that counts how often it is read. */
class CountedFile extends File {
  override slice(start?: number, end?: number): Blob {
    const part = super.slice(start, end);
    const read = part.arrayBuffer.bind(part);
    part.arrayBuffer = () => {
      reads++;
      return read();
    };
    return part;
  }
}

beforeEach(() => {
  reads = 0;
});

/** A recording made by a browser: a cluster of unknown length for each second, with pictures and uncompressed sound. */
function recording(end?: number): File {
  const tracks = element(
    0x1654ae6b,
    track(
      SOUND,
      "A_PCM/INT/LIT",
      element(
        0xe1,
        element(0xb5, bytesOf("45fa0000")),
        element(0x9f, Uint8Array.of(1)),
        element(0x6264, Uint8Array.of(16)),
      ),
    ),
    track(
      PICTURES,
      "V_MPEG4/ISO/ASP",
      element(0xe0, element(0xb0, Uint8Array.of(64)), element(0xba, Uint8Array.of(64))),
    ),
  );
  const clusters = Array.from({ length: SECONDS }, (_, second) =>
    concat([
      concat([bytesOf("1f43b675"), UNKNOWN_SIZE]),
      element(0xe7, Uint8Array.of((1000 * second) >> 8, (1000 * second) & 0xff)),
      element(0xa3, Uint8Array.of(0x80 | PICTURES, 0, 0, 0x80), PICTURE),
      element(0xa3, soundOf(second)),
    ]),
  );
  const head = element(0x1a45dfa3, element(0x4282, new TextEncoder().encode("matroska")));
  const info = element(
    0x1549a966,
    element(0x2ad7b1, bytesOf("0f4240")),
    element(0x7ba9, new TextEncoder().encode(" A walk ")),
  );
  const whole = concat([head, bytesOf("18538067"), UNKNOWN_SIZE, info, tracks, ...clusters]);
  return new CountedFile([whole.slice(0, end)], "A.Walk.mkv");
}

function track(type: number, codec: string, settings: Uint8Array): Uint8Array {
  const numbers = [0xd7, 0x73c5, 0x83].map((id) => element(id, Uint8Array.of(type)));
  return element(0xae, ...numbers, element(0x86, new TextEncoder().encode(codec)), settings);
}

function soundOf(second: number): Uint8Array {
  return concat([Uint8Array.of(0x80 | SOUND, 0, 0, 0x80), new Uint8Array(16_000).fill(second)]);
}

async function extraction(file: File) {
  const found = await (await openSound(file))?.extraction();
  if (!found) throw new Error("It would be sent whole.");
  return found;
}

async function sent(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return concat(await collect(stream));
}

const never = () => new AbortController().signal;

test("a file says what is in it before any of it is sent", async () => {
  const sound = await openSound(recording());

  expect(sound?.title).toBe("A walk");
  expect(sound?.tracks).toEqual([{ number: 1, channels: 1, language: "eng", name: null }]);
});

test("the sound has a media type of its own", async () => {
  expect((await extraction(recording())).mimeType).toBe("audio/x-matroska");
});

test("every block of sound is sent as it is, and no picture", async () => {
  const bytes = await sent((await extraction(recording())).stream(never()));

  const clusters = elementsIn(bytes.subarray(bytes.indexOf(0x1f)));
  const blocks = clusters.flatMap(({ body }) => elementsIn(body).filter(({ id }) => id === 0xa3));
  const sound = blocks.filter(({ body }) => body[0] === (0x80 | SOUND)).map(({ body }) => body);
  expect(sound).toEqual(Array.from({ length: SECONDS }, (_, second) => soundOf(second)));
  expect(
    Math.max(...blocks.filter(({ body }) => body[0] === (0x80 | PICTURES)).map(({ body }) => body.length)),
  ).toBeLessThan(50);
});

test("the same bytes come each time, so that an upload can go on after a reload", async () => {
  const first = await sent((await extraction(recording())).stream(never()));
  const second = await sent((await extraction(recording())).stream(never()));

  expect(second).toEqual(first);
});

test("no more is read than is taken from the stream, however slow the upload is", async () => {
  const reader = (await extraction(recording())).stream(never()).getReader();
  await reader.read();
  await reader.read();
  const before = reads;

  await new Promise((resolve) => setTimeout(resolve, 20));

  expect(reads).toBe(before);
  expect(reads).toBeLessThan(SECONDS / 2);
});

test("a stream ends when its signal says so", async () => {
  const abort = new AbortController();
  const reader = (await extraction(recording())).stream(abort.signal).getReader();
  await reader.read();

  abort.abort(new Error("cancelled"));

  await expect(reader.read()).rejects.toThrow("cancelled");
});

test("the stream of a recording that was cut off rejects, so that all of it is sent instead", async () => {
  const { stream } = await extraction(recording(recording().size - 10));

  await expect(sent(stream(never()))).rejects.toThrow("The file ends");
});

test.each([
  ["a text", new File(["This is not a video.\n".repeat(100)], "a.mp4")],
  ["nothing", new File([], "a.mp4")],
  ["an AVI", new File(["RIFF\0\0\0\0AVI LIST"], "a.avi")],
])("%s is not opened", async (_, file) => {
  expect(await openSound(file)).toBeNull();
});

test("a file that cannot be read any more is not opened", async () => {
  const file = recording();
  file.slice = () => {
    throw new DOMException("It was moved.", "NotReadableError");
  };

  expect(await openSound(file)).toBeNull();
});
