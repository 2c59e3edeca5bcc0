/** Extracts the sound from a video, so that only the sound is sent. Loaded when the first file is dropped. */
import {
  BlobSource,
  Input,
  Logging,
  LogLevel,
  MATROSKA,
  MP4,
  MPEG_TS,
  QTFF,
  WEBM,
  type InputAudioTrack,
} from "mediabunny";
import type { Cut } from "./cut";
import { cutMatroska, titleOfMatroska } from "./matroska";
import { cutMp4 } from "./mp4";
import { cutMpegTs, isMpegTs } from "./mpegTs";

export interface Track {
  /** Counted from 1, as in the API. */
  readonly number: number;
  readonly channels: number;
  /** A language code, such as `eng`. */
  readonly language: string | null;
  readonly name: string | null;
}

export interface Sound {
  /** The length of the sound in seconds; null if unknown. */
  readonly duration: number | null;
  readonly title: string | null;
  readonly tracks: readonly Track[];
  /** Return how the sound alone can be sent, or null if the whole file must be. */
  extraction(): Promise<Extraction | null>;
}

export interface Extraction {
  readonly mimeType: string;
  /** How many bytes there are, or null if only sending them will tell. */
  readonly bytes: number | null;
  /** The same bytes each time it is called, so that an upload can resume after a reload. Rejects on any doubt. */
  stream(signal: AbortSignal): ReadableStream<Uint8Array>;
}

const FORMATS = [MP4, QTFF, MATROSKA, WEBM, MPEG_TS];
// mediabunny need not report files that it does not know: they are sent whole.
Logging.level = LogLevel.Silent;
const EBML = 0x1a45dfa3;
// Below this there is nothing to gain.
const LEAST_SAVED = 0.1;

/** Look into a file. Returns null if no sound is found here, as in an AVI or a text file; never rejects. */
export async function openSound(file: File): Promise<Sound | null> {
  // Reading a file as one stream fails now and then on WebKit and in Chromium on Windows.
  const input = new Input({
    source: new BlobSource(file, { useStreamReader: false }),
    formats: FORMATS,
  });
  try {
    const found = await input.getAudioTracks();
    // There may be soundtracks that are not known here.
    if (!found.length) return null;
    const tracks = await Promise.all(found.map(describe));
    const duration = (await input.getDurationFromMetadata(found).catch(() => null)) ?? null;
    const tags = await input.getMetadataTags().catch(() => null);
    const title = tags?.title ?? (await titleOfMatroska(file).catch(() => null));
    return { duration, title: title?.trim() || null, tracks, extraction: () => extract(file, tracks.length) };
  } catch {
    return null;
  } finally {
    input.dispose();
  }
}

async function describe(track: InputAudioTrack, index: number): Promise<Track> {
  const language = await track.getLanguageCode();
  return {
    number: index + 1,
    channels: await track.getNumberOfChannels(),
    language: language === "und" ? null : language,
    name: (await track.getName()) || null,
  };
}

async function extract(file: File, soundtracks: number): Promise<Extraction | null> {
  try {
    const cut = await cutOf(file);
    const isWorthIt = cut.bytes === null || cut.bytes < (1 - LEAST_SAVED) * file.size;
    // If two readers disagree, the file is in doubt.
    if (!isWorthIt || cut.soundtracks !== soundtracks) return null;
    return {
      mimeType: cut.mimeType,
      bytes: cut.bytes,
      stream: (signal) => streamOf(cut, signal),
    };
  } catch {
    return null;
  }
}

async function cutOf(file: File): Promise<Cut> {
  const head = new DataView(await file.slice(0, 4).arrayBuffer());
  if (head.byteLength === 4 && head.getUint32(0) === EBML) return cutMatroska(file);
  return (await isMpegTs(file)) ? cutMpegTs(file) : cutMp4(file);
}

/** Return a stream that reads no further ahead than it is read itself. */
function streamOf(cut: Cut, signal: AbortSignal): ReadableStream<Uint8Array> {
  const parts = cut.parts()[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        signal.throwIfAborted();
        const { done, value } = await parts.next();
        signal.throwIfAborted();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await parts.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
