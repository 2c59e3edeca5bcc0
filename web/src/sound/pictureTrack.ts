/** A track of an MP4 with one tiny picture, shown for as long as the pictures were. */
import { box, latin } from "./boxes";
import { bigEndian, bytesOf, concat } from "./bytes";
import type { Span, Track } from "./movie";
import { HEIGHT, VP8, WIDTH } from "./picture";

const TIMESCALE = 1000;
const IDENTITY = bytesOf("000100000000000000000000000000000001000000000000000000000000000040000000");
const NOTHING = new Uint8Array();

/** Return the box of a track that replaces `pictures`. The picture is at `offset` in the file. */
export function pictureTrack(pictures: Track, shown: Span, movieTimescale: number, offset: number): Uint8Array {
  const late = Math.round(shown.start * movieTimescale);
  const inMovie = Math.max(Math.round((shown.end - shown.start) * movieTimescale), 1);
  const length = Math.max(Math.round((shown.end - shown.start) * TIMESCALE), 1);
  const full = (type: string, ...fields: Uint8Array[]) => box(type, u32(0), ...fields);
  return box(
    "trak",
    box(
      "tkhd",
      u32(7),
      zeros(8),
      u32(pictures.id),
      zeros(4),
      u32(late + inMovie),
      zeros(16),
      IDENTITY,
      side(WIDTH),
      side(HEIGHT),
    ),
    late
      ? box("edts", full("elst", u32(2), u32(late), u32(2 ** 32 - 1), u32(65536), u32(inMovie), u32(0), u32(65536)))
      : NOTHING,
    pictures.chapters ? box("tref", pictures.chapters.bytes) : NOTHING,
    box(
      "mdia",
      full("mdhd", zeros(8), u32(TIMESCALE), u32(length), bigEndian(0x55c4, 2), zeros(2)),
      full("hdlr", zeros(4), latin("vide"), zeros(13)),
      box(
        "minf",
        box("vmhd", u32(1), zeros(8)),
        box("dinf", full("dref", u32(1), box("url ", u32(1)))),
        box(
          "stbl",
          full("stsd", u32(1), sampleEntry()),
          full("stts", u32(1), u32(1), u32(length)),
          full("stsc", u32(1), u32(1), u32(1), u32(1)),
          full("stsz", u32(0), u32(1), u32(VP8.length)),
          full("co64", u32(1), bigEndian(offset, 8)),
        ),
      ),
    ),
  );
}

/** https://www.webmproject.org/vp9/mp4/ covers VP8, too. */
function sampleEntry(): Uint8Array {
  const size = concat([bigEndian(WIDTH, 2), bigEndian(HEIGHT, 2)]);
  const resolution = u32(72 * 65536);
  const configuration = box("vpcC", bytesOf("01000000" + "000a82020202" + "0000"));
  const depth = bytesOf("0018ffff");
  return box(
    "vp08",
    zeros(6),
    bigEndian(1, 2),
    zeros(16),
    size,
    resolution,
    resolution,
    zeros(4),
    bigEndian(1, 2),
    zeros(32),
    depth,
    configuration,
  );
}

function u32(value: number): Uint8Array {
  return bigEndian(value, 4);
}

function side(pixels: number): Uint8Array {
  return u32(pixels * 65536);
}

function zeros(count: number): Uint8Array {
  return new Uint8Array(count);
}
