/**
 * A tiny grey picture that stands where the pictures were.
 *
 * The converter places the sound by the pictures: if it starts after the first one, or pauses while they go on, the MP3
 * is silent there. So the times of the pictures are sent, but none of the pictures themselves.
 */
import { bytesOf } from "./bytes";

export const WIDTH = 16;
export const HEIGHT = 16;

/** A key frame of VP8: https://www.rfc-editor.org/rfc/rfc6386. Made by libvpx. */
export const VP8 = bytesOf("1002009d012a100010000047088585888584880202000c0e6000fe6800");

/** A sequence of one picture in MPEG-2: ISO/IEC 13818-2. Made by FFmpeg. */
export const MPEG2 = bytesOf(
  "000001b301001013ffffe018000001b5148a00010000000001b80008004000000100000ffff8000001b58ffff3418000000101fb5a529110",
);
