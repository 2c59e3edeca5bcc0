/** Matroska and WebM without their pictures: https://www.rfc-editor.org/rfc/rfc9559. */
import { bigEndian, concat, Reader, view } from "./bytes";
import { expect, type Cut } from "./cut";
import {
  element,
  elementsIn,
  idOf,
  takeHead,
  unsigned,
  UNKNOWN_SIZE,
  variable,
  type Element,
  type ElementHead,
} from "./ebml";
import { HEIGHT, VP8, WIDTH } from "./picture";

const EBML = 0x1a45dfa3;
const SEGMENT = 0x18538067;
const SEEK_HEAD = 0x114d9b74;
const SEEK = 0x4dbb;
const SEEK_ID = 0x53ab;
const SEEK_POSITION = 0x53ac;
const INFO = 0x1549a966;
const TRACKS = 0x1654ae6b;
const CHAPTERS = 0x1043a770;
const ATTACHMENTS = 0x1941a469;
const TAGS = 0x1254c367;
const CLUSTER = 0x1f43b675;

const TITLE = 0x7ba9;

const TRACK_ENTRY = 0xae;
const TRACK_NUMBER = 0xd7;
const TRACK_UID = 0x73c5;
const TRACK_TYPE = 0x83;
const DEFAULT_DURATION = 0x23e383;
const CODEC_ID = 0x86;
const FLAG_LACING = 0x9c;
const VIDEO = 0xe0;
const PIXEL_WIDTH = 0xb0;
const PIXEL_HEIGHT = 0xba;
const ENCODINGS = 0x6d80;
const ENCODING = 0x6240;
const ENCODING_TYPE = 0x5033;
const ENCRYPTION = 0x5035;

const ATTACHED_FILE = 0x61a7;
const FILE_TYPE = 0x4660;

const TIMESTAMP = 0xe7;
const SIMPLE_BLOCK = 0xa3;
const BLOCK_GROUP = 0xa0;
const BLOCK = 0xa1;
const ENCRYPTED_BLOCK = 0xaf;

const PICTURES = 1;
const SOUND = 2;

// They are written in this order. All of them come before the clusters, where ffmpeg finds them without an index.
const KEPT = [INFO, TRACKS, CHAPTERS, ATTACHMENTS, TAGS];
const LARGEST_HEAD = 64 * 1024 * 1024;
const LARGEST_CLUSTER = 4 * 1024 * 1024;
const LONGEST_BLOCK_HEAD = 10;
const KEY_FRAME = 0x80;

interface Head {
  /** The header of the file, up to the first element of the segment. */
  readonly start: Uint8Array;
  readonly elements: ReadonlyMap<number, Element>;
  readonly sound: ReadonlySet<number>;
  readonly pictures: ReadonlySet<number>;
  /** The tracks. The first one with pictures gets tiny ones instead. */
  readonly tracks: readonly Element[];
  readonly first: Element;
  /** Where the first cluster begins, and where the segment ends. */
  readonly clusters: number;
  readonly end: number;
}

/**
 * Cut a Matroska file: its blocks of sound, tags, chapters and covers stay as they are.
 *
 * Only reading all of it shows how much sound there is, and whether the file is whole.
 */
export async function cutMatroska(file: Blob): Promise<Cut> {
  const head = await readHead(file);
  const start = concat([head.start, ...KEPT.flatMap((id) => kept(id, head) ?? [])]);
  const isWebm = new TextDecoder().decode(head.start).includes("webm");
  return {
    mimeType: isWebm ? "audio/webm" : "audio/x-matroska",
    soundtracks: head.sound.size,
    bytes: null,
    async *parts() {
      yield start;
      yield* clusters(new Reader(file, head.clusters), head);
    },
  };
}

/** Return the title of a Matroska file, which is not one of its tags, or null. */
export async function titleOfMatroska(file: Blob): Promise<string | null> {
  const info = (await readHead(file)).elements.get(INFO);
  const title = elementsIn(info?.body ?? new Uint8Array()).find(({ id }) => id === TITLE);
  return title ? new TextDecoder().decode(title.body) : null;
}

async function readHead(file: Blob): Promise<Head> {
  const reader = new Reader(file);
  const ebml = await takeElement(reader, await takeHead(reader));
  expect(ebml.id === EBML, "This is not Matroska.");
  const segment = await takeHead(reader);
  expect(segment?.id === SEGMENT, "There is no segment.");
  const start = reader.position;
  const end = segment.size === null ? file.size : start + segment.size;
  expect(end === file.size, "The file does not end where its segment does.");

  const elements = new Map<number, Element>();
  const add = (element: Element) => {
    expect(!elements.has(element.id), "An element of the head is there twice.");
    elements.set(element.id, element);
  };
  const seeks: number[] = [];
  let clusters = 0;
  while (!clusters) {
    const at = reader.position;
    const next = await takeHead(reader);
    expect(next !== null, "There are no clusters.");
    if (next.id === CLUSTER) {
      clusters = at;
    } else if (next.id === SEEK_HEAD) {
      seeks.push(...positions((await takeElement(reader, next)).body).map((position) => start + position));
    } else if (KEPT.includes(next.id)) {
      add(await takeElement(reader, next));
    } else {
      expect(next.size !== null, "The size of an element is not known.");
      reader.position += next.size;
    }
  }
  // Some programs write tags and chapters after the clusters.
  for (const position of seeks.filter((position) => position > clusters && position < end)) {
    const behind = new Reader(file, position);
    const found = await takeHead(behind);
    expect(found?.id !== SEEK_HEAD, "The index is in two parts.");
    if (found && KEPT.includes(found.id)) add(await takeElement(behind, found));
  }

  const tracks = elementsIn(elements.get(TRACKS)?.body ?? new Uint8Array()).filter(({ id }) => id === TRACK_ENTRY);
  const ofType = (type: number) => tracks.filter((track) => numberIn(track, TRACK_TYPE) === type);
  const first = ofType(PICTURES)[0];
  expect(first !== undefined, "There are no pictures to leave out.");
  expect(!ofType(SOUND).some(isEncrypted), "The sound is encrypted.");
  const numbers = (type: number) => new Set(ofType(type).map((track) => numberIn(track, TRACK_NUMBER)));
  return {
    start: concat([ebml.bytes, idOf(SEGMENT), UNKNOWN_SIZE]),
    ...{
      elements,
      tracks,
      first,
      sound: numbers(SOUND),
      pictures: numbers(PICTURES),
      clusters,
      end,
    },
  };
}

async function takeElement(reader: Reader, head: ElementHead | null): Promise<Element> {
  expect(head !== null && head.size !== null && head.size <= LARGEST_HEAD, "An element has an absurd size.");
  const body = await reader.take(head.size);
  return { id: head.id, bytes: concat([head.bytes, body]), body };
}

/** Return the positions of elements in a seek head, counted from the start of the segment. */
function positions(body: Uint8Array): number[] {
  const seeks = elementsIn(body).filter(({ id }) => id === SEEK);
  const ids = new Set([...KEPT, SEEK_HEAD]);
  return seeks.filter((seek) => ids.has(numberIn(seek, SEEK_ID))).map((seek) => numberIn(seek, SEEK_POSITION));
}

function numberIn(parent: Element, id: number): number {
  const found = elementsIn(parent.body).find((child) => child.id === id);
  return found ? unsigned(found.body) : 0;
}

function isEncrypted(track: Element): boolean {
  const encodings = elementsIn(track.body).filter(({ id }) => id === ENCODINGS);
  return encodings
    .flatMap(({ body }) => elementsIn(body).filter(({ id }) => id === ENCODING))
    .some((each) => numberIn(each, ENCODING_TYPE) === 1 || elementsIn(each.body).some(({ id }) => id === ENCRYPTION));
}

function kept(id: number, head: Head): Uint8Array | undefined {
  const found = head.elements.get(id);
  if (id === TRACKS) {
    const sound = head.tracks.filter((track) => numberIn(track, TRACK_TYPE) === SOUND);
    const all = head.tracks.filter((track) => track === head.first || sound.includes(track));
    return element(TRACKS, ...all.map((track) => (track === head.first ? pictureTrack(track) : track.bytes)));
  }
  if (id === ATTACHMENTS && found) {
    return element(
      ATTACHMENTS,
      ...elementsIn(found.body)
        .filter(isPicture)
        .map(({ bytes }) => bytes),
    );
  }
  return found?.bytes;
}

function isPicture({ id, body }: Element): boolean {
  if (id !== ATTACHED_FILE) return false;
  const type = elementsIn(body).find((child) => child.id === FILE_TYPE);
  return new TextDecoder().decode(type?.body).startsWith("image/");
}

function pictureTrack(track: Element): Uint8Array {
  const same = [TRACK_NUMBER, TRACK_UID, DEFAULT_DURATION];
  return element(
    TRACK_ENTRY,
    ...elementsIn(track.body).flatMap(({ id, bytes }) => (same.includes(id) ? [bytes] : [])),
    element(TRACK_TYPE, Uint8Array.of(PICTURES)),
    element(FLAG_LACING, Uint8Array.of(0)),
    element(CODEC_ID, new TextEncoder().encode("V_VP8")),
    element(VIDEO, element(PIXEL_WIDTH, Uint8Array.of(WIDTH)), element(PIXEL_HEIGHT, Uint8Array.of(HEIGHT))),
  );
}

async function* clusters(reader: Reader, head: Head): AsyncGenerator<Uint8Array> {
  const cluster = new Cluster(numberIn(head.first, TRACK_NUMBER));
  const heard = new Set<number>();
  for (let next = await takeHead(reader); next; next = await takeHead(reader)) {
    const { id, size, bytes } = next;
    // A cluster of unknown size ends where the next one begins, so all elements are treated as siblings.
    if (id === CLUSTER) {
      yield* cluster.finish();
      cluster.timestamp = null;
      continue;
    }
    expect(size !== null && reader.position + size <= head.end, "The file ends before an element does.");
    expect(![ENCRYPTED_BLOCK, SEGMENT, EBML].includes(id), "The file is joined or encrypted.");
    const behind = reader.position + size;
    if (id === TIMESTAMP) {
      cluster.timestamp = concat([bytes, await reader.take(size)]);
    } else if (id === SIMPLE_BLOCK || id === BLOCK_GROUP) {
      const block = await peekBlock(reader, id);
      if (head.sound.has(block.track)) {
        cluster.add(concat([bytes, await reader.take(size)]));
        heard.add(block.track);
      } else if (head.pictures.has(block.track)) {
        cluster.shown.push(block.time);
      }
    }
    reader.position = behind;
    if (cluster.isLarge) yield* cluster.finish();
  }
  yield* cluster.finish();
  expect(heard.size === head.sound.size, "A soundtrack is empty.");
}

/** Return the track of the next block, and its time in the cluster. A group contains a block among other elements. */
async function peekBlock(reader: Reader, id: number): Promise<{ track: number; time: number }> {
  const start = reader.position;
  for (let inner = id === BLOCK_GROUP ? await takeHead(reader) : null; inner; inner = await takeHead(reader)) {
    if (inner.id === BLOCK) break;
    expect(inner.size !== null, "The size of an element is not known.");
    reader.position += inner.size;
  }
  const bytes = await reader.peek(LONGEST_BLOCK_HEAD);
  reader.position = start;
  const { value, width } = variable(bytes);
  expect(value !== null && bytes.length >= width + 2, "A block has no track.");
  return { track: value, time: view(bytes).getInt16(width) };
}

/** What is kept of a cluster. Tiny pictures replace the very first picture, and the last one of each cluster. */
class Cluster {
  timestamp: Uint8Array | null = null;
  readonly shown: number[] = [];
  #blocks: Uint8Array[] = [];
  #bytes = 0;
  #hasShown = false;

  constructor(readonly pictureTrack: number) {}

  add(block: Uint8Array): void {
    this.#blocks.push(block);
    this.#bytes += block.length;
  }

  get isLarge(): boolean {
    return this.#bytes >= LARGEST_CLUSTER;
  }

  *finish(): Generator<Uint8Array> {
    const blocks = this.#blocks;
    this.#blocks = [];
    this.#bytes = 0;
    const shown = this.shown.splice(0);
    const [first] = shown;
    if (first !== undefined) {
      const last = Math.max(...shown);
      if (!this.#hasShown) blocks.unshift(pictureBlock(this.pictureTrack, first));
      if (this.#hasShown || last !== first) blocks.push(pictureBlock(this.pictureTrack, last));
      this.#hasShown = true;
    }
    if (!blocks.length) return;
    expect(this.timestamp !== null, "A cluster has no time.");
    yield element(CLUSTER, this.timestamp, ...blocks);
  }
}

function pictureBlock(track: number, time: number): Uint8Array {
  const number = track < 127 ? Uint8Array.of(0x80 | track) : bigEndian(0x10000000 + track, 4);
  return element(SIMPLE_BLOCK, number, bigEndian((time + 65536) % 65536, 2), Uint8Array.of(KEY_FRAME), VP8);
}
