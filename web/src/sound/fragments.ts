/** The fragments of an MP4: ISO/IEC 14496-12, 8.8. */
import { bigEndian, concat, read, view, type Range } from "./bytes";
import { bodyOf, box, boxesIn, latin, type Box, type FileBox } from "./boxes";
import { expect } from "./cut";
import type { Movie, Span } from "./movie";

const BASE_OFFSET = 0x1;
const DESCRIPTION = 0x2;
const DEFAULT_DURATION = 0x8;
const DEFAULT_SIZE = 0x10;
const BASE_IS_FRAGMENT = 0x20000;

const DATA_OFFSET = 0x1;
const FIRST_FLAGS = 0x4;
const DURATION = 0x100;
const SIZE = 0x200;
const FLAGS = 0x400;
const COMPOSITION = 0x800;

const MDAT_HEADER = 8;
const LARGEST = 16 * 1024 * 1024;

export interface Fragment {
  /** How many bytes of media are kept. */
  readonly bytes: number;
  holds(id: number): boolean;
  /** Return a span of pictures, extended by those of this fragment. */
  extend(span: Span): Span;
  /** Return the kept fragment up to its media, and where the media are in the file. */
  parts(): { head: Uint8Array; ranges: readonly Range[] };
}

/** A run of samples that follow one another in the file. */
interface Run {
  readonly box: Box;
  readonly range: Range;
  readonly samples: number;
  readonly duration: number;
}

interface TrackFragment {
  readonly id: number;
  readonly header: Uint8Array;
  readonly boxes: readonly Box[];
  readonly runs: readonly Run[];
  readonly decodeTime: number | undefined;
  readonly end: number;
}

export async function readFragment(
  file: Blob,
  { start, body, end }: FileBox,
  movie: Movie,
  kept: ReadonlySet<number>,
): Promise<Fragment> {
  expect(end - body <= LARGEST, "A fragment has a huge index.");
  const boxes = boxesIn(await read(file, body, end));
  let position = start;
  const tracks = boxes
    .filter(({ type }) => type === "traf")
    .map(({ body }) => {
      const track = readTrackFragment(body, start, position, movie);
      position = track.end;
      return track;
    });
  const sound = tracks.filter(({ id }) => kept.has(id));
  const ranges = sound.flatMap(({ runs }) => runs.map(({ range }) => range));
  expect(
    ranges.every((range) => range.start >= 0 && range.end <= file.size),
    "The file ends before its sound does.",
  );
  const bytes = ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  const pictures = movie.pictures[0];
  return {
    bytes,
    holds: (id) => sound.some((track) => track.id === id && track.runs.some(({ samples }) => samples > 0)),
    extend: (span) =>
      tracks
        .filter(({ id }) => id === pictures?.id)
        .reduce((span, track) => extended(span, track, pictures?.timescale ?? 1), span),
    parts: () => ({
      head: sound.length ? headOf(boxes, sound, bytes) : new Uint8Array(),
      ranges,
    }),
  };
}

function readTrackFragment(body: Uint8Array, fragment: number, position: number, movie: Movie): TrackFragment {
  const header = bodyOf(body, "tfhd");
  const data = view(header);
  const flags = data.getUint32(0);
  const id = data.getUint32(4);
  let at = 8;
  const take = (flag: number, width: 4 | 8): number | undefined => {
    if (!(flags & flag)) return undefined;
    at += width;
    return width === 8 ? Number(data.getBigUint64(at - 8)) : data.getUint32(at - 4);
  };
  const explicit = take(BASE_OFFSET, 8);
  take(DESCRIPTION, 4);
  const duration = take(DEFAULT_DURATION, 4) ?? movie.defaults(id).duration;
  const size = take(DEFAULT_SIZE, 4) ?? movie.defaults(id).size;
  const base = explicit ?? (flags & BASE_IS_FRAGMENT ? fragment : position);
  const boxes = boxesIn(body);
  let end = base;
  const runs = boxes
    .filter(({ type }) => type === "trun")
    .map((box) => {
      const run = readRun(box, base, end, { duration, size });
      end = run.range.end;
      return run;
    });
  const time = boxes.find(({ type }) => type === "tfdt");
  const decodeTime =
    time && (time.body[0] === 1 ? Number(view(time.body).getBigUint64(4)) : view(time.body).getUint32(4));
  return { id, header, boxes, runs, decodeTime, end };
}

function readRun(box: Box, base: number, position: number, defaults: { duration: number; size: number }): Run {
  const data = view(box.body);
  const flags = data.getUint32(0);
  const samples = data.getUint32(4);
  const start = flags & DATA_OFFSET ? base + data.getInt32(8) : position;
  let at = 8 + (flags & DATA_OFFSET ? 4 : 0) + (flags & FIRST_FLAGS ? 4 : 0);
  let bytes = flags & SIZE ? 0 : samples * defaults.size;
  let duration = flags & DURATION ? 0 : samples * defaults.duration;
  const widths = [DURATION, SIZE, FLAGS, COMPOSITION].filter((flag) => flags & flag);
  if (flags & (DURATION | SIZE)) {
    for (let sample = 0; sample < samples; sample++) {
      for (const flag of widths) {
        if (flag === DURATION) duration += data.getUint32(at);
        if (flag === SIZE) bytes += data.getUint32(at);
        at += 4;
      }
    }
  }
  return { box, range: { start, end: start + bytes }, samples, duration };
}

function extended(span: Span, track: TrackFragment, timescale: number): Span {
  const length = track.runs.reduce((sum, run) => sum + run.duration, 0) / timescale;
  const isFirst = span.end <= span.start;
  const start = track.decodeTime === undefined ? span.end : track.decodeTime / timescale + (isFirst ? span.start : 0);
  return {
    start: isFirst ? start : span.start,
    end: Math.max(span.end, start + length),
  };
}

/** Return the index of a fragment with these tracks alone, and the header of its media. */
function headOf(boxes: readonly Box[], tracks: readonly TrackFragment[], bytes: number): Uint8Array {
  const build = (media: number) => {
    let position = media;
    const fragments = tracks.map((track) => {
      const children = track.boxes.map((child) => {
        if (child.type === "tfhd") return movedHeader(track.header);
        const run = track.runs.find((run) => run.box === child);
        if (!run) return child.bytes;
        const moved = movedRun(run, position);
        position += run.range.end - run.range.start;
        return moved;
      });
      return box("traf", ...children);
    });
    const others = boxes.filter(({ type }) => type !== "traf").map(({ bytes }) => bytes);
    return box("moof", ...others, ...fragments);
  };
  expect(bytes + MDAT_HEADER < 2 ** 31, "A fragment is huge.");
  const moof = build(build(0).length + MDAT_HEADER);
  return concat([moof, bigEndian(bytes + MDAT_HEADER, 4), latin("mdat")]);
}

function movedHeader(header: Uint8Array): Uint8Array {
  const flags = view(header).getUint32(0);
  const rest = header.subarray(flags & BASE_OFFSET ? 16 : 8);
  return box("tfhd", bigEndian((flags & ~BASE_OFFSET) | BASE_IS_FRAGMENT, 4), header.subarray(4, 8), rest);
}

function movedRun({ box: { body } }: Run, position: number): Uint8Array {
  const flags = view(body).getUint32(0);
  const rest = body.subarray(flags & DATA_OFFSET ? 12 : 8);
  return box("trun", bigEndian(flags | DATA_OFFSET, 4), body.subarray(4, 8), bigEndian(position, 4), rest);
}
