/**
 * Extracts the sound of files, as the page does it. Each line that it reads is a JSON array of paths, of a video and of
 * where its sound is to be written, and each line that it writes is a JSON object with what was found.
 */
import { open, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { openSound } from "../../../web/src/sound";

/** A file as a browser gives it to a page. That of `fs.openAsBlob` has a size of 32 bits. */
class DiskFile extends File {
  constructor(
    readonly handle: FileHandle,
    name: string,
    readonly start: number,
    readonly end: number,
  ) {
    super([], name);
  }

  override get size(): number {
    return this.end - this.start;
  }

  override slice(start = 0, end = this.size): DiskFile {
    const last = Math.min(this.start + end, this.end);
    return new DiskFile(
      this.handle,
      this.name,
      Math.min(this.start + start, last),
      last,
    );
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    const bytes = new Uint8Array(this.size);
    await this.handle.read(bytes, 0, bytes.length, this.start);
    return bytes.buffer;
  }
}

async function extract(file: File, target: FileHandle): Promise<object> {
  const found = await openSound(file);
  if (!found) return { opened: false, extracted: false };
  const { duration, title, tracks } = found;
  const told = { opened: true, duration, title, tracks };
  const extraction = await found.extraction();
  if (!extraction) return { ...told, extracted: false };
  const { mimeType, bytes } = extraction;
  let peak = 0;
  try {
    for await (const part of extraction.stream(new AbortController().signal)) {
      await target.write(part);
      peak = Math.max(peak, process.memoryUsage.rss());
    }
  } catch (error) {
    return { ...told, extracted: false, rejected: String(error) };
  }
  return { ...told, extracted: true, mimeType, bytes, peak };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [video, sound] = JSON.parse(line) as [string, string];
  await using source = await open(video);
  await using target = await open(sound, "w");
  const file = new DiskFile(
    source,
    basename(video),
    0,
    (await source.stat()).size,
  );
  console.log(JSON.stringify(await extract(file, target)));
}
