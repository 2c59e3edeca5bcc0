/** MPEG transport streams without their pictures: ISO/IEC 13818-1. */
import { bigEndian, concat, Reader } from "./bytes";
import { Doubt, expect, type Cut } from "./cut";
import { MPEG2 } from "./picture";

const PACKET = 188;
/** Blu-rays and camcorders put a time stamp of four bytes before each packet. */
const STAMP = 4;
const SYNC = 0x47;
const PROGRAMS = 0;
const FILLING = 0x1fff;
const SCRAMBLED = 0xc0;

// Where the list of streams must be found, and how many packets are cut at once.
const HEAD_PACKETS = 20_000;
const BATCH_PACKETS = 4000;

// https://en.wikipedia.org/wiki/Program-specific_information#Elementary_stream_types
const PICTURES = new Set([0x01, 0x02, 0x10, 0x1b, 0x1e, 0x1f, 0x20, 0x21, 0x24, 0x25, 0x33, 0x42, 0xd1, 0xd2, 0xea]);
const SOUND = new Set([0x03, 0x04, 0x0f, 0x11, 0x1c, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87]);
const PRIVATE = 0x06;
// AC-3, E-AC-3, DTS, AAC, and AC-4 and other extensions: ETSI EN 300 468, 6.1.
const SOUND_DESCRIPTORS = new Set([0x6a, 0x7a, 0x7b, 0x7c]);
const REGISTRATION = 0x05;
const SOUND_REGISTRATIONS = new Set(["AC-3", "EAC3", "Opus", "DTS1", "DTS2", "DTS3", "BSSD"]);
const MPEG2_VIDEO = 0x02;

const CLOCK = 90_000;
const WRAP = 2 ** 33;

/** What the list of streams says, for the only program. */
interface Program {
  readonly listPid: number;
  /** The list without the pictures, except for the first ones, which become tiny. */
  readonly list: Uint8Array;
  readonly original: Uint8Array;
  readonly sound: ReadonlySet<number>;
  readonly pictures: ReadonlySet<number>;
  readonly firstPictures: number;
}

/**
 * Cut a transport stream: the packets with pictures are left out.
 *
 * Once a second, a tiny picture shows that the pictures go on, so that a pause in the sound does not look like a jump.
 */
export async function cutMpegTs(file: Blob): Promise<Cut> {
  const size = await packetSize(file);
  expect(file.size % size === 0, "The file ends within a packet.");
  const program = await readProgram(file, size);
  return {
    mimeType: "video/mp2t",
    soundtracks: program.sound.size,
    bytes: null,
    parts: () => cut(new Reader(file), size, program),
  };
}

/** Return whether a file looks like a transport stream. */
export async function isMpegTs(file: Blob): Promise<boolean> {
  return packetSize(file).then(
    () => true,
    () => false,
  );
}

async function packetSize(file: Blob): Promise<number> {
  const head = await new Reader(file).peek(5 * (PACKET + STAMP));
  for (const size of [PACKET, PACKET + STAMP]) {
    const first = size - PACKET;
    if ([0, 1, 2, 3].every((number) => head[first + number * size] === SYNC)) return size;
  }
  throw new Doubt("This is no transport stream.");
}

interface Packet {
  readonly pid: number;
  readonly startsUnit: boolean;
  /** Without the header and the adaptation field. */
  readonly payload: Uint8Array;
}

function parse(bytes: Uint8Array): Packet {
  const [sync = 0, high = 0, low = 0, control = 0, length = 0] = bytes;
  expect(sync === SYNC, "A packet does not begin where it should.");
  expect(!(control & SCRAMBLED), "The stream is encrypted.");
  const hasField = (control & 0x20) !== 0;
  const start = hasField ? 5 + length : 4;
  return {
    pid: ((high & 0x1f) << 8) | low,
    startsUnit: (high & 0x40) !== 0,
    payload: control & 0x10 ? bytes.subarray(start) : new Uint8Array(),
  };
}

async function readProgram(file: Blob, size: number): Promise<Program> {
  const reader = new Reader(file);
  const programs = new Sections();
  const streams = new Sections();
  let listPid: number | null = null;
  for (let number = 0; number < Math.min(HEAD_PACKETS, file.size / size); number++) {
    const packet = parse((await reader.take(size)).subarray(size - PACKET));
    if (packet.pid === PROGRAMS && listPid === null) {
      const table = programs.add(packet);
      if (table) listPid = onlyProgram(table);
    } else if (packet.pid === listPid) {
      const list = streams.add(packet);
      if (list) return programOf(list, listPid);
    }
  }
  throw new Doubt("No streams are listed.");
}

/** Joins the packets of a table. */
class Sections {
  #parts: Uint8Array[] = [];

  /** Return the section that this packet ends, from its first byte to its checksum, or null. */
  add({ startsUnit, payload }: Packet): Uint8Array | null {
    if (startsUnit) this.#parts = [payload.subarray(1 + (payload[0] ?? 0))];
    else if (this.#parts.length) this.#parts.push(payload);
    const section = concat(this.#parts);
    const length = 3 + (((section[1] ?? 0) & 0x0f) << 8) + (section[2] ?? 0);
    if (section.length < Math.max(length, 8)) return null;
    this.#parts = [];
    return section.subarray(0, length);
  }
}

function onlyProgram(table: Uint8Array): number {
  const pids: number[] = [];
  for (let at = 8; at < table.length - 4; at += 4) {
    const pid = (((table[at + 2] ?? 0) & 0x1f) << 8) | (table[at + 3] ?? 0);
    if (table[at] || table[at + 1]) pids.push(pid);
  }
  const [pid, ...others] = pids;
  expect(pid !== undefined && !others.length, "There is not one program.");
  return pid;
}

function programOf(list: Uint8Array, listPid: number): Program {
  expect(list[0] === 2, "The list of streams is something else.");
  const start = 12 + ((((list[10] ?? 0) & 0x0f) << 8) | (list[11] ?? 0));
  const sound = new Set<number>();
  const pictures: number[] = [];
  const kept: Uint8Array[] = [];
  for (let at = start; at < list.length - 4;) {
    const length = (((list[at + 3] ?? 0) & 0x0f) << 8) | (list[at + 4] ?? 0);
    const entry = list.subarray(at, at + 5 + length);
    const pid = (((entry[1] ?? 0) & 0x1f) << 8) | (entry[2] ?? 0);
    if (PICTURES.has(entry[0] ?? 0)) {
      if (!pictures.length)
        kept.push(concat([Uint8Array.of(MPEG2_VIDEO), entry.subarray(1, 3), Uint8Array.of(0xf0, 0)]));
      pictures.push(pid);
    } else {
      if (isSound(entry)) sound.add(pid);
      kept.push(entry);
    }
    at += entry.length;
  }
  const [firstPictures] = pictures;
  expect(firstPictures !== undefined, "There are no pictures to leave out.");
  const body = concat([list.subarray(0, start), ...kept]);
  const length = body.length + 4 - 3;
  body.set([0xb0 | (length >> 8), length & 0xff], 1);
  const section = concat([body, bigEndian(checksum(body), 4)]);
  expect(section.length < PACKET - 5, "The list of streams is long.");
  return {
    listPid,
    list: section,
    original: list.slice(),
    sound,
    pictures: new Set(pictures),
    firstPictures,
  };
}

function isSound(entry: Uint8Array): boolean {
  if (SOUND.has(entry[0] ?? 0)) return true;
  if (entry[0] !== PRIVATE) return false;
  for (let at = 5; at < entry.length; at += 2 + (entry[at + 1] ?? 0)) {
    const tag = entry[at] ?? 0;
    if (SOUND_DESCRIPTORS.has(tag)) return true;
    if (tag === REGISTRATION && SOUND_REGISTRATIONS.has(String.fromCharCode(...entry.subarray(at + 2, at + 6))))
      return true;
  }
  return false;
}

async function* cut(reader: Reader, size: number, program: Program): AsyncGenerator<Uint8Array> {
  const lists = new Sections();
  const heard = new Set<number>();
  const pictures = new Pictures(program.firstPictures);
  let listCount = 0;
  while (reader.position < reader.file.size) {
    const count = Math.min(BATCH_PACKETS, (reader.file.size - reader.position) / size);
    const batch = await reader.take(count * size);
    const kept: Uint8Array[] = [];
    for (let at = 0; at < batch.length; at += size) {
      const whole = batch.subarray(at, at + size);
      const stamp = whole.subarray(0, size - PACKET);
      const packet = parse(whole.subarray(size - PACKET));
      if (packet.pid === program.listPid) {
        const list = lists.add(packet);
        expect(!list || isSame(list, program.original), "The streams change on the way.");
        if (packet.startsUnit) kept.push(stamp, packetOf(program.listPid, listCount++, Uint8Array.of(0), program.list));
      } else if (program.pictures.has(packet.pid)) {
        const isFirst = packet.startsUnit && packet.pid === program.firstPictures;
        for (const picture of isFirst ? pictures.next(packet.payload) : []) kept.push(stamp, picture);
      } else if (packet.pid !== FILLING) {
        if (packet.startsUnit) heard.add(packet.pid);
        kept.push(whole);
      }
    }
    if (kept.length) yield concat(kept);
  }
  for (const picture of pictures.last()) yield concat([new Uint8Array(size - PACKET), picture]);
  expect(
    [...program.sound].every((pid) => heard.has(pid)),
    "A soundtrack is empty.",
  );
}

/** Makes tiny pictures at the times of the real ones: the first, the last, and one per second in between. */
class Pictures {
  #count = 0;
  #told: number | null = null;
  #latest: number | null = null;

  constructor(readonly pid: number) {}

  /** Return packets with tiny pictures, if any are due. `unit` begins a packet of a picture. */
  next(unit: Uint8Array): Uint8Array[] {
    const time = timeOf(unit);
    if (time === null) return [];
    const before = this.#latest ?? time;
    const step = (time - before + WRAP) % WRAP;
    if (step > WRAP / 2) {
      // Pictures are not stored in the order in which they are shown.
      expect(WRAP - step < 2 * CLOCK, "The time jumps back.");
      return [];
    }
    // If the pictures pause, both ends of the pause are marked.
    const last = step >= CLOCK ? this.last() : [];
    this.#latest = time;
    const isDue = this.#told === null || (time - this.#told + WRAP) % WRAP >= CLOCK;
    return isDue ? [...last, this.#make(time)] : last;
  }

  last(): Uint8Array[] {
    return this.#latest === null || this.#latest === this.#told ? [] : [this.#make(this.#latest)];
  }

  #make(time: number): Uint8Array {
    this.#told = time;
    const stamp = Uint8Array.of(
      0x21 | (Math.floor(time / 2 ** 30) << 1),
      (time / 2 ** 22) & 0xff,
      ((time / 2 ** 14) & 0xfe) | 1,
      (time / 2 ** 7) & 0xff,
      ((time * 2) & 0xfe) | 1,
    );
    const header = Uint8Array.of(0, 0, 1, 0xe0, 0, 3 + stamp.length + MPEG2.length, 0x84, 0x80, stamp.length);
    return packetOf(this.pid, this.#count++, header, stamp, MPEG2);
  }
}

/** Return when a picture is shown, in units of the clock, or null if it does not say. */
function timeOf(unit: Uint8Array): number | null {
  const [zero, zero2, one, , , , , flags = 0] = unit;
  expect(zero === 0 && zero2 === 0 && one === 1, "The pictures are scrambled.");
  if (!(flags & 0x80) || unit.length < 14) return null;
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = unit.subarray(9);
  return ((a >> 1) & 7) * 2 ** 30 + b * 2 ** 22 + (c >> 1) * 2 ** 15 + d * 2 ** 7 + (e >> 1);
}

/** Return a packet that holds a whole unit, padded with an adaptation field. */
function packetOf(pid: number, count: number, ...parts: Uint8Array[]): Uint8Array {
  const payload = concat(parts);
  const filling = PACKET - 4 - payload.length;
  const packet = new Uint8Array(PACKET).fill(0xff);
  packet.set([SYNC, 0x40 | (pid >> 8), pid & 0xff, (filling ? 0x30 : 0x10) | (count & 0x0f)]);
  if (filling) packet.set(filling > 1 ? [filling - 1, 0] : [0], 4);
  packet.set(payload, PACKET - payload.length);
  return packet;
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** ISO/IEC 13818-1, annex A. */
function checksum(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) sum = sum & 0x80000000 ? (sum << 1) ^ 0x04c11db7 : sum << 1;
  }
  return sum >>> 0;
}
