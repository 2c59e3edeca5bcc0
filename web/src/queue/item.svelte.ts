import type { Conversion } from "../api/client";
import { NO_CHOICES, type FileChoices, type OptionValues } from "../options/options";
import { randomName } from "../random";
import { sayFailure } from "../say";
import type { Extraction, Sound } from "../sound";
import type { FileHandle } from "./handles";
import { Speed } from "./speed";
import { after, type Move, type State } from "./states";
import type { Unfinished } from "./unfinished";

/** One file on its way to an MP3. */
export class Item {
  state = $state<State>("ready");
  file = $state.raw<File | null>(null);
  /** Leads to the file after the page was closed; null where the browser gives none. */
  handle: FileHandle | null = null;
  /** What is in the file; null before it was looked at, and if it cannot be read here. */
  sound = $state.raw<Sound | null>(null);
  choices = $state<FileChoices>({ ...NO_CHOICES });

  /** Whether the sound alone is sent, once that is known. */
  sent = $state<"sound" | "whole" | null>(null);
  sentBytes = $state(0);
  /** How many bytes will be sent; null while that is not known. */
  totalBytes = $state<number | null>(null);
  speed = $state<number | null>(null);

  /** Known as soon as the upload is complete. */
  conversionId: string | null = null;
  /** As the service last reported it. */
  conversion = $state.raw<Conversion | null>(null);
  /** Why it failed, in the service's words; null if it has none. */
  trouble = $state<string | null>(null);

  key = randomName();
  uploadUrl: string | null = null;
  fingerprint = "";
  /** The options that were sent. They are fixed from then on. */
  sentOptions: OptionValues | null = null;
  /** What examining the file will find. */
  looking: Promise<Sound | null> = Promise.resolve(null);
  extraction: Extraction | null = null;
  /** A digest of the beginning of the sound that is sent. */
  layout: string | null = null;
  /** Whether something that the person has asked for is still being done. */
  isBusy = false;
  /** How often it was begun to be sent. */
  runs = 0;

  readonly #speed = new Speed();

  constructor(
    readonly name: string,
    readonly bytes: number,
  ) {}

  static ofUpload(upload: Unfinished): Item {
    const item = new Item(upload.name, upload.bytes);
    item.key = upload.key;
    item.state = "paused";
    item.uploadUrl = upload.url;
    item.fingerprint = upload.fingerprint;
    item.sent = upload.sent;
    item.sentBytes = upload.sentBytes;
    item.totalBytes = upload.sent === "whole" ? upload.bytes : null;
    item.layout = upload.layout;
    item.sentOptions = upload.options;
    return item;
  }

  static ofConversion(conversion: Conversion): Item {
    const item = new Item(conversion.filename, conversion.video.original_bytes ?? conversion.video.bytes);
    item.state = "queued";
    item.observe(conversion);
    return item;
  }

  /** Make a move if it is possible, and return whether it was. */
  move(move: Move): boolean {
    const state = after(this.state, move);
    if (state === null) return false;
    this.state = state;
    if (state !== "sending") {
      this.speed = null;
      this.#speed.reset();
    }
    return true;
  }

  progress(sent: number, total: number | null, now = Date.now()): void {
    this.sentBytes = sent;
    if (total !== null) this.totalBytes = total;
    this.#speed.note(sent, now);
    this.speed = this.#speed.value;
  }

  /** Take over what the service says. Returns whether anything has changed. */
  observe(conversion: Conversion): boolean {
    const before = this.conversion;
    this.conversionId = conversion.id;
    this.conversion = conversion;
    const moves = {
      queued: "queue",
      converting: "convert",
      completed: "complete",
      failed: "fail",
      cancelled: "cancel",
    } as const;
    this.move(moves[conversion.state]);
    this.trouble = conversion.error ? sayFailure(conversion.error) : null;
    return before?.state !== conversion.state || before.progress !== conversion.progress;
  }

  /** Between 0 and 1; null while unknown. */
  get share(): number | null {
    if (this.state === "completed") return 1;
    if (this.conversionId !== null) return this.conversion?.progress ?? 0;
    return this.totalBytes ? this.sentBytes / this.totalBytes : null;
  }

  /** Seconds until everything is sent; null while unknown. */
  get secondsLeft(): number | null {
    if (!this.speed || this.totalBytes === null) return null;
    return (this.totalBytes - this.sentBytes) / this.speed;
  }

  /** Forget the upload, so that the next one starts from scratch, with the same options. */
  begin(): void {
    this.key = randomName();
    this.uploadUrl = null;
    this.sent = null;
    this.layout = null;
    this.sentBytes = 0;
    this.totalBytes = null;
    this.conversionId = null;
    this.conversion = null;
    this.trouble = null;
  }
}
