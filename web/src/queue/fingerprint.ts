import type { Extraction } from "../sound";

const SAMPLE = 64 * 1024;

/**
 * Tells whether a chosen file is the one whose upload was interrupted, by its name, size, date, and a hash of its start
 * and its end. It guards against mistakes, not against malice: the service proves every MP3 anyway.
 */
export async function fingerprint(file: File): Promise<string> {
  const ends = new Blob([file.slice(0, SAMPLE), file.slice(Math.max(SAMPLE, file.size - SAMPLE))]);
  const hash = fnv1a(new Uint8Array(await ends.arrayBuffer()));
  return [file.name, file.size, file.lastModified, hash.toString(16)].join("|");
}

/**
 * Tells whether the sound that is taken out of a video now is laid out as it was when its upload began. A newer version of
 * this page may do it in another way, and two halves that do not fit must not become one file.
 */
export async function layoutOf(extraction: Pick<Extraction, "bytes" | "stream">): Promise<string> {
  const abort = new AbortController();
  const reader = extraction.stream(abort.signal).getReader();
  const head = new Uint8Array(SAMPLE);
  let filled = 0;
  try {
    while (filled < SAMPLE) {
      const { value, done } = await reader.read();
      if (done) break;
      const part = value.subarray(0, SAMPLE - filled);
      head.set(part, filled);
      filled += part.length;
    }
  } finally {
    abort.abort();
    reader.cancel().catch(() => {});
  }
  return [extraction.bytes ?? "", fnv1a(head.subarray(0, filled)).toString(16)].join("|");
}

// http://www.isthe.com/chongo/tech/comp/fnv/, in 32 bits. SubtleCrypto exists on secure origins only.
function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
