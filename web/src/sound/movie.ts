/** The index of an MP4: which tracks there are, and where their bytes lie. */
import { boxesIn, bodyOf, find, text, type Box } from "./boxes";
import { view } from "./bytes";
import { Doubt, expect } from "./cut";

/** A stretch of time, in seconds. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Where the chunks of a track lie. */
export interface Chunks {
  readonly count: number;
  readonly starts: Float64Array;
  readonly lengths: Float64Array;
}

export interface Track {
  readonly id: number;
  readonly handler: string;
  readonly timescale: number;
  /** When it is presented, according to the index alone. */
  readonly shown: Span;
  readonly chunks: Chunks;
  /** The reference to its chapters, as it is in the file. */
  readonly chapters: Box | undefined;
  readonly box: Box;
}

export interface Movie {
  readonly boxes: readonly Box[];
  readonly timescale: number;
  readonly sound: readonly Track[];
  readonly pictures: readonly Track[];
  /** Tracks of text that hold the names of chapters. */
  readonly chapters: readonly Track[];
  /** The defaults for fragments of a track: the duration and the size of a sample. */
  defaults(id: number): { duration: number; size: number };
  isQuickTime(head: Uint8Array): boolean;
}

const TEXT = new Set(["text", "sbtl"]);
const ENCRYPTED = new Set(["enca", "drms"]);

// Bytes of one sample of one channel. Old files give the size of such samples as 1.
const PCM_BYTES: Readonly<Record<string, number>> = {
  ...{ alaw: 1, ulaw: 1, sowt: 2, twos: 2, in24: 3, in32: 4, fl32: 4, fl64: 8 },
};

export function readMovie(body: Uint8Array): Movie {
  const timescale = timescaleOf(bodyOf(body, "mvhd"));
  const boxes = boxesIn(body);
  const tracks = boxes.filter(({ type }) => type === "trak").map((box) => readTrack(box, timescale));
  expect(new Set(tracks.map(({ id }) => id)).size === tracks.length, "Two tracks have the same number.");
  const referenced = new Set(tracks.flatMap(({ chapters }) => (chapters ? numbers(chapters.body) : [])));
  const chapters = tracks.filter(({ id }) => referenced.has(id));
  expect(
    chapters.every(({ handler }) => TEXT.has(handler)),
    "Chapters have pictures.",
  );
  const extending = find(body, "mvex");
  const extended = new Map(
    boxesIn(extending?.body ?? new Uint8Array())
      .filter(({ type }) => type === "trex")
      .map(({ body }) => [
        view(body).getUint32(4),
        { duration: view(body).getUint32(12), size: view(body).getUint32(16) },
      ]),
  );
  return {
    boxes,
    timescale,
    sound: tracks.filter(({ handler }) => handler === "soun"),
    pictures: tracks.filter(({ handler }) => handler === "vide"),
    chapters,
    defaults: (id) => extended.get(id) ?? { duration: 0, size: 0 },
    isQuickTime: (head) => !head.length || String.fromCharCode(...head.subarray(8, 12)) === "qt  ",
  };
}

function readTrack(box: Box, movieTimescale: number): Track {
  const { body } = box;
  const header = bodyOf(body, "tkhd");
  const media = bodyOf(body, "mdia");
  const handler = text(view(bodyOf(media, "hdlr")), 8);
  const timescale = timescaleOf(bodyOf(media, "mdhd"));
  const table = bodyOf(media, "minf/stbl");
  if (handler === "soun") checkSound(media, table);
  const edits = find(body, "edts/elst");
  return {
    id: view(header).getUint32(header[0] === 1 ? 20 : 12),
    handler,
    timescale,
    shown: shownSpan(table, timescale, edits ? editsIn(edits.body) : [], movieTimescale),
    chunks: handler === "soun" || TEXT.has(handler) ? chunksIn(table) : NO_CHUNKS,
    chapters: find(body, "tref/chap"),
    box,
  };
}

function checkSound(media: Uint8Array, table: Uint8Array): void {
  for (const { type } of boxesIn(bodyOf(table, "stsd").subarray(8))) {
    expect(!ENCRYPTED.has(type), "The sound is encrypted.");
  }
  for (const { body } of boxesIn(bodyOf(media, "minf/dinf/dref").subarray(8))) {
    expect((body[3] ?? 0) % 2 === 1, "The sound is in another file.");
  }
}

interface Edit {
  /** In time units of the movie. */
  readonly length: number;
  /** In time units of the track; -1 if nothing is shown. */
  readonly from: number;
}

function editsIn(body: Uint8Array): Edit[] {
  const data = view(body);
  const isWide = data.getUint8(0) === 1;
  return Array.from({ length: data.getUint32(4) }, (_, number) => {
    const at = 8 + number * (isWide ? 20 : 12);
    return isWide
      ? {
          length: Number(data.getBigUint64(at)),
          from: Number(data.getBigInt64(at + 8)),
        }
      : { length: data.getUint32(at), from: data.getInt32(at + 4) };
  });
}

function shownSpan(table: Uint8Array, timescale: number, edits: readonly Edit[], movieTimescale: number): Span {
  const times = view(bodyOf(table, "stts"));
  let length = 0;
  for (let at = 8; at < 8 + 8 * times.getUint32(4); at += 8) length += times.getUint32(at) * times.getUint32(at + 4);
  const offsets = find(table, "ctts");
  const first = offsets && view(offsets.body).getUint32(4) > 0 ? view(offsets.body).getInt32(12) : 0;
  let start: number | undefined;
  let now = 0;
  for (const edit of edits) {
    const available = Math.max(length - edit.from, 0) / timescale;
    const asked = edit.length / movieTimescale;
    if (edit.from < 0) {
      now += asked;
    } else {
      start ??= now + Math.max(first - edit.from, 0) / timescale;
      now += asked ? Math.min(asked, available || asked) : available;
    }
  }
  return start === undefined
    ? { start: first / timescale, end: length / timescale }
    : { start, end: Math.max(now, start) };
}

const NO_CHUNKS: Chunks = {
  count: 0,
  starts: new Float64Array(),
  lengths: new Float64Array(),
};

function chunksIn(table: Uint8Array): Chunks {
  const long = find(table, "co64");
  const offsets = view(long?.body ?? bodyOf(table, "stco"));
  const count = offsets.getUint32(4);
  const starts = new Float64Array(count);
  for (let chunk = 0; chunk < count; chunk++) {
    starts[chunk] = long ? Number(offsets.getBigUint64(8 + 8 * chunk)) : offsets.getUint32(8 + 4 * chunk);
  }
  const bytesOf = sizer(table);
  const runs = view(bodyOf(table, "stsc"));
  const lengths = new Float64Array(count);
  let sample = 0;
  for (let run = 0; run < runs.getUint32(4); run++) {
    const at = 8 + 12 * run;
    const isLast = run + 1 === runs.getUint32(4);
    const behind = isLast ? count : runs.getUint32(at + 12) - 1;
    for (let chunk = runs.getUint32(at) - 1; chunk < Math.min(behind, count); chunk++) {
      const samples = runs.getUint32(at + 4);
      lengths[chunk] = bytesOf(sample, samples);
      sample += samples;
    }
  }
  return { count, starts, lengths };
}

/** Return a function that tells how many bytes a run of consecutive samples has. */
function sizer(table: Uint8Array): (first: number, count: number) => number {
  expect(find(table, "stsz") !== undefined, "Samples have compact sizes.");
  const sizes = view(bodyOf(table, "stsz"));
  const size = sizes.getUint32(4);
  const total = sizes.getUint32(8);
  if (!size) {
    return (first, count) => {
      expect(first + count <= total, "There are fewer samples than listed.");
      let bytes = 0;
      for (let sample = first; sample < first + count; sample++) bytes += sizes.getUint32(12 + 4 * sample);
      return bytes;
    };
  }
  const packing = packingOf(table, size);
  return (_, count) => Math.ceil(count / packing.samples) * packing.bytes;
}

/** Return how samples of a constant size are packed: how many of them are in how many bytes. */
function packingOf(table: Uint8Array, size: number): { samples: number; bytes: number } {
  const entry = boxesIn(bodyOf(table, "stsd").subarray(8))[0];
  expect(entry !== undefined, "The sound is not described.");
  const { type, body } = entry;
  const data = view(body);
  const pcm = PCM_BYTES[type];
  if (pcm) return { samples: 1, bytes: pcm * data.getUint16(16) };
  if (data.getUint16(8) === 1) {
    // https://developer.apple.com/documentation/quicktime-file-format/sound_sample_description_version_1
    const samples = data.getUint32(28);
    const bytes = data.getUint32(36);
    if (samples > 1 && bytes) return { samples, bytes };
  }
  if (size === 1) throw new Doubt("Nothing says how large samples are.");
  return { samples: 1, bytes: size };
}

/** Return the units per second, which `mvhd` and `mdhd` have in the same place. */
function timescaleOf(body: Uint8Array): number {
  const scale = view(body).getUint32(body[0] === 1 ? 20 : 12);
  expect(scale > 0, "A clock stands still.");
  return scale;
}

function numbers(body: Uint8Array): number[] {
  return Array.from({ length: body.length >> 2 }, (_, index) => view(body).getUint32(4 * index));
}
