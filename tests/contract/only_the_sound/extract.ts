/**
 * Extracts the sound of files, as the page does it: one JSON array of paths a line, `[video, sound]`, and one JSON
 * object a line for an answer.
 */
import { openAsBlob } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import { openSound } from "../../../web/src/sound";

async function extract(video: string, sound: string): Promise<object> {
  const file = new File([await openAsBlob(video)], basename(video));
  const found = await openSound(file);
  if (!found) return { opened: false };
  const { duration, title, tracks } = found;
  const told = { opened: true, duration, title, tracks };
  const extraction = await found.extraction();
  if (!extraction) return { ...told, extracted: false };
  const { fileName, mimeType, bytes } = extraction;
  const target = await open(sound, "w");
  let peak = 0;
  try {
    for await (const part of extraction.stream(new AbortController().signal)) {
      await target.write(part);
      peak = Math.max(peak, process.memoryUsage.rss());
    }
  } catch (error) {
    return { ...told, extracted: false, rejected: String(error) };
  } finally {
    await target.close();
  }
  return { ...told, extracted: true, fileName, mimeType, bytes, peak };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [video, sound] = JSON.parse(line) as [string, string];
  console.log(JSON.stringify(await extract(video, sound)));
}
