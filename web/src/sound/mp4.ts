/** MP4 and MOV without their pictures: ISO/IEC 14496-12, and Apple's QuickTime File Format. */
import { bigEndian, concat, read, slices, view, type Range } from "./bytes";
import { box, boxesIn, fileBoxes, latin, rebuilt, type Box, type FileBox } from "./boxes";
import { expect, type Cut } from "./cut";
import { readFragment, type Fragment } from "./fragments";
import { pictureTrack } from "./pictureTrack";
import { readMovie, type Movie, type Span, type Track } from "./movie";
import { VP8 } from "./picture";

const LARGEST_INDEX = 128 * 1024 * 1024;
const MDAT_HEADER = 16;
// Reading this much in vain takes no longer than starting another read.
const LARGEST_GAP = 128 * 1024;
const LARGEST_READ = 1024 * 1024;

/** The boxes of a file that matter, in the order of the file. */
interface Layout {
  readonly index: FileBox;
  readonly fragments: FileBox[];
  /** Boxes that are kept as they are, since ffmpeg reads them: the type of the file, and its title. */
  readonly kept: FileBox[];
}

/**
 * Cut an MP4: the tables of a soundtrack stay as they are, except for the positions of its bytes.
 *
 * So edit lists, time stamps, languages, tags and chapters keep their meaning. The index comes first, so that the
 * converter can read the file while it receives it.
 */
export async function cutMp4(file: Blob): Promise<Cut> {
  const layout = await layoutOf(file);
  const movie = readMovie(await indexOf(file, layout.index));
  const kept = new Set([...movie.sound, ...movie.chapters].map((track) => track.id));
  const pictures = movie.pictures[0];
  expect(pictures !== undefined, "There are no pictures to leave out.");
  expect(movie.sound.length > 0, "There is no sound.");

  const fragments: Fragment[] = [];
  for (const each of layout.fragments) fragments.push(await readFragment(file, each, movie, kept));
  for (const track of movie.sound) {
    const isThere = track.chunks.count > 0 || fragments.some((fragment) => fragment.holds(track.id));
    expect(isThere, "A soundtrack is empty.");
  }

  const chunks = inFileOrder([...movie.sound, ...movie.chapters], file.size);
  const shown = fragments.reduce((span, fragment) => fragment.extend(span), shownSpan(movie));
  const head = concat(await Promise.all(layout.kept.map(({ start, end }) => read(file, start, end))));
  const build = (media: number) => withoutPictures(movie, kept, pictures, shown, media, chunks);
  const media = head.length + build(0).length + MDAT_HEADER;
  const mdat = largeHeader(VP8.length + chunks.bytes);
  const start = concat([head, build(media), mdat, VP8]);
  let bytes = start.length + chunks.bytes;
  const moved = fragments.map((fragment) => {
    const parts = fragment.parts();
    bytes += parts.head.length + fragment.bytes;
    return parts;
  });

  return {
    mimeType: movie.isQuickTime(head) ? "video/quicktime" : "audio/mp4",
    soundtracks: movie.sound.length,
    bytes,
    async *parts() {
      yield start;
      yield* copied(file, chunks.ranges());
      for (const { head, ranges } of moved) {
        yield head;
        yield* copied(file, ranges);
      }
    },
  };
}

/** Return when there are pictures, according to the index alone. */
function shownSpan({ pictures }: Movie): Span {
  const start = Math.min(...pictures.map(({ shown }) => shown.start));
  return { start, end: Math.max(...pictures.map(({ shown }) => shown.end)) };
}

async function layoutOf(file: Blob): Promise<Layout> {
  const boxes: FileBox[] = [];
  for await (const each of fileBoxes(file)) boxes.push(each);
  const [index, ...others] = boxes.filter((each) => each.type === "moov");
  expect(index !== undefined && !others.length, "There is not one index.");
  const small = boxes.filter((each) => ["ftyp", "meta", "udta"].includes(each.type));
  return {
    index,
    kept: small,
    fragments: boxes.filter((each) => each.type === "moof"),
  };
}

async function indexOf(file: Blob, { body, end }: FileBox): Promise<Uint8Array> {
  expect(end - body <= LARGEST_INDEX, "The index is too large.");
  return read(file, body, end);
}

/** Where the kept chunks are, and where they will be: one after the other, since ffmpeg may read them from a pipe. */
interface Chunks {
  readonly bytes: number;
  /** Return the offsets of a track's chunks from the start of the media. */
  offsets(track: Track): Float64Array;
  ranges(): Iterable<Range>;
}

function inFileOrder(tracks: readonly Track[], size: number): Chunks {
  const offsets = new Map(tracks.map((track) => [track, new Float64Array(track.chunks.count)]));
  let bytes = 0;
  for (const { track, number, start, end } of merged(tracks)) {
    expect(end <= size, "The file ends before its sound does.");
    offsets.get(track)?.fill(bytes, number, number + 1);
    bytes += end - start;
  }
  return {
    bytes,
    offsets: (track) => offsets.get(track) ?? new Float64Array(),
    ranges: () => merged(tracks),
  };
}

/** Yield the chunks of all tracks in the order of the file. */
function* merged(tracks: readonly Track[]): Generator<Range & { track: Track; number: number }> {
  const heads = tracks.map((track) => ({
    track,
    number: 0,
    start: track.chunks.starts[0] ?? Infinity,
  }));
  for (;;) {
    const first = heads.reduce((one, other) => (other.start < one.start ? other : one));
    const { track, number, start } = first;
    if (start === Infinity) return;
    yield {
      track,
      number,
      start,
      end: start + (track.chunks.lengths[number] ?? 0),
    };
    first.number++;
    first.start = track.chunks.starts[first.number] ?? Infinity;
  }
}

function withoutPictures(
  movie: Movie,
  kept: ReadonlySet<number>,
  pictures: Track,
  shown: Span,
  media: number,
  chunks: Chunks,
): Uint8Array {
  const tracks = new Map([...movie.sound, ...movie.chapters].map((track) => [track.box, track]));
  return rebuilt("moov", movie.boxes, (child) => {
    if (child === pictures.box) return pictureTrack(pictures, shown, movie.timescale, media);
    if (child.type === "mvex") return rebuilt("mvex", boxesIn(child.body), (inner) => extendsKept(inner, kept));
    if (child.type !== "trak") return child.bytes;
    const track = tracks.get(child);
    return track ? moved(child, media + VP8.length, chunks.offsets(track)) : null;
  });
}

function extendsKept({ type, bytes, body }: Box, kept: ReadonlySet<number>): Uint8Array | null {
  const id = new DataView(body.buffer, body.byteOffset).getUint32(4);
  return type !== "trex" || kept.has(id) ? bytes : null;
}

/** Return the box of a track with new positions for its chunks. */
function moved(track: Box, media: number, offsets: Float64Array): Uint8Array {
  const change = ({ type, bytes, body }: Box): Uint8Array => {
    if (["mdia", "minf", "stbl"].includes(type)) return rebuilt(type, boxesIn(body), change);
    if (type !== "stco" && type !== "co64") return bytes;
    const table = view(new Uint8Array(8 * offsets.length));
    offsets.forEach((offset, chunk) => table.setBigUint64(8 * chunk, BigInt(media + offset)));
    return box("co64", bigEndian(0, 4), bigEndian(offsets.length, 4), new Uint8Array(table.buffer));
  };
  return rebuilt("trak", boxesIn(track.body), change);
}

/** Yield the bytes of some ranges of a file, in as few reads as is sensible. */
async function* copied(file: Blob, ranges: Iterable<Range>): AsyncGenerator<Uint8Array> {
  for (const group of neighbours(ranges)) {
    const whole = { start: group[0]?.start ?? 0, end: group.at(-1)?.end ?? 0 };
    if (group.length === 1) {
      yield* slices(file, whole);
    } else {
      const bytes = await read(file, whole.start, whole.end);
      yield concat(group.map(({ start, end }) => bytes.subarray(start - whole.start, end - whole.start)));
    }
  }
}

/** Group ranges that are read at once, together with the little that is between them. */
function* neighbours(ranges: Iterable<Range>): Generator<Range[]> {
  let group: Range[] = [];
  for (const range of ranges) {
    const first = group[0] ?? range;
    const last = group.at(-1) ?? range;
    const isNear = range.start >= last.end && range.start - last.end <= LARGEST_GAP;
    if (group.length && !(isNear && range.end - first.start <= LARGEST_READ)) {
      yield group;
      group = [];
    }
    group.push(range);
  }
  if (group.length) yield group;
}

function largeHeader(length: number): Uint8Array {
  return concat([bigEndian(1, 4), latin("mdat"), bigEndian(length + MDAT_HEADER, 8)]);
}
