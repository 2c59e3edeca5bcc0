import { account } from "../account/account.svelte";
import { api, session, type Conversion } from "../api/client";
import { LoginNeeded, Problem } from "../api/problem";
import { t } from "../lang";
import { notices } from "../notices.svelte";
import { say, sayFailure } from "../say";
import { needsPicture, optionValues } from "../options/options";
import { preferences } from "../options/preferences.svelte";
import { nextPoll, nextTry } from "./backoff";
import { fingerprint } from "./fingerprint";
import { handles, type FileHandle } from "./handles";
import { Item } from "./item.svelte";
import { isAtService, isOver, needsPage, next } from "./states";
import { unfinished } from "./unfinished";
import { Upload } from "./upload";

export interface Dropped {
  file: File;
  handle?: FileHandle;
}

const IDS_AT_ONCE = 100;

/** All files of this page on their way to MP3s. */
class Queue {
  items = $state<Item[]>([]);
  ready = $derived(this.items.filter((item) => item.state === "ready"));
  /** What was started, newest first. */
  started = $derived(this.items.filter((item) => item.state !== "ready").toReversed());
  needsPage = $derived(this.items.some((item) => needsPage(item.state)));

  #uploads = new Map<Item, Upload>();
  #poll: ReturnType<typeof setTimeout> | undefined;
  #pollMs = 0;
  #etag: { ids: string; value: string | null } = { ids: "", value: null };

  /** Take up the uploads that were interrupted. */
  async restore(): Promise<void> {
    for (const upload of unfinished.all()) {
      const item = Item.ofUpload(upload);
      this.items.push(item);
      const file = session.exists ? await handles.file(item.key, { mayAsk: false }) : null;
      if (file !== null) await this.#continueWith(item, file);
    }
  }

  /** Take up the conversions that the service is working on. */
  async takeUp(): Promise<void> {
    const { items } = await api.list(null).catch(() => ({ items: [] }));
    const known = new Set(this.items.map((item) => item.conversionId));
    for (const conversion of items.toReversed()) {
      if (isAtService(conversion.state as Item["state"]) && !known.has(conversion.id)) {
        this.items.push(Item.ofConversion(conversion));
      }
    }
    this.#schedule(0);
  }

  /** Take files that were dropped, chosen or shared. One that was interrupted goes on where it was. */
  async add(dropped: readonly Dropped[], { mayStart = true } = {}): Promise<void> {
    // So that nothing is left to load when the person presses the button.
    void import("tus-js-client").catch(() => {});
    for (const { file, handle } of dropped) {
      const print = await fingerprint(file).catch(() => "");
      const waiting = this.items.find((item) => item.fingerprint === print && item.state === "paused" && !item.file);
      if (waiting) {
        if (handle) void handles.keep(waiting.key, handle);
        await this.#continueWith(waiting, file);
        continue;
      }
      const item = new Item(file.name, file.size);
      item.file = file;
      item.fingerprint = print;
      item.looking = look(file);
      this.items.push(item);
      void item.looking.then((sound) => (item.sound = sound));
      if (handle) void handles.keep(item.key, handle);
    }
    if (mayStart && preferences.startAtOnce && this.ready.length > 0) await this.start();
  }

  /** Start all that are ready, after asking for a login if need be. */
  async start(): Promise<void> {
    if (!(await account.require("start"))) return;
    for (const item of this.ready) {
      item.sentOptions = optionValues(preferences, item.choices);
      item.move("start");
      // From now on it is not lost when the page is closed.
      this.#keep(item);
    }
    this.#pump();
  }

  pause(item: Item): void {
    if (item.move("pause")) this.#stop(item);
    this.#pump();
  }

  /** Go on with an item that is paused. Returns false if its file has to be chosen again first. */
  async resume(item: Item): Promise<boolean> {
    const file = item.file ?? (await handles.file(item.key, { mayAsk: true }));
    if (file === null) return false;
    if (await account.require("start")) await this.#continueWith(item, file);
    return true;
  }

  async cancel(item: Item): Promise<void> {
    const { uploadUrl, conversionId, key } = item;
    if (!item.move("cancel")) return;
    this.#stop(item);
    this.#forget(key);
    this.#pump();
    if (conversionId !== null) await api.remove(conversionId).catch(() => {});
    else if (uploadUrl !== null) await endUpload(uploadUrl);
  }

  async retry(item: Item): Promise<void> {
    if (item.state === "failed" && item.conversionId !== null) {
      try {
        const conversion = await api.retry(item.conversionId);
        item.move("queue");
        item.observe(conversion);
        this.#schedule(0);
      } catch (error) {
        item.trouble = error instanceof Problem ? error.detail : t.unreachable;
      }
      return;
    }
    if (item.file === null || !(await account.require("start"))) return;
    item.begin();
    item.move("start");
    this.#pump();
  }

  remove(item: Item): void {
    if (!isOver(item.state) && item.state !== "ready") return;
    this.#forget(item.key);
    this.items = this.items.filter((other) => other !== item);
  }

  /** Stop all uploads and forget what belongs to the person who has logged out. */
  clear(): void {
    for (const item of this.items) {
      this.#stop(item);
      this.#forget(item.key);
    }
    this.items = [];
    clearTimeout(this.#poll);
  }

  async #continueWith(item: Item, file: File): Promise<void> {
    item.file = file;
    item.looking = look(file);
    item.sound = await item.looking;
    item.move("start");
    this.#pump();
  }

  #stop(item: Item): void {
    this.#uploads.get(item)?.stop();
    this.#uploads.delete(item);
  }

  #forget(key: string): void {
    unfinished.forget(key);
    void handles.forget(key);
  }

  #pump(): void {
    for (const item of next(this.items)) {
      item.move("send");
      void this.#send(item);
    }
  }

  async #send(item: Item): Promise<void> {
    const file = item.file!;
    const run = (item.runs += 1);
    const wantsSound = item.sent === null ? preferences.onlySound && !needsPicture(item) : item.sent === "sound";
    item.extraction = wantsSound ? await extractionOf(item) : null;
    // Meanwhile, it may have been stopped, and perhaps started again.
    if (item.state !== "sending" || item.runs !== run) return;
    const sent = item.extraction ? "sound" : "whole";
    // What was begun as sound cannot go on as a whole file.
    if (item.sent !== null && item.sent !== sent) {
      this.#forget(item.key);
      item.begin();
    }
    item.sent = sent;
    item.sentOptions ??= optionValues(preferences, item.choices);
    item.totalBytes = item.extraction ? item.extraction.bytes : file.size;
    const metadata = {
      // That of the video in any case, since it is what the person knows it by.
      filename: file.name,
      filetype: item.extraction?.mimeType ?? (file.type || "application/octet-stream"),
      original_bytes: String(file.size),
      sent,
      ...item.sentOptions,
    };
    const upload = new Upload(
      {
        body: item.extraction ?? file,
        metadata,
        key: `${item.key}-${sent}`,
        url: item.uploadUrl,
      },
      {
        created: (url) => {
          item.uploadUrl = url;
          this.#keep(item);
        },
        progress: (bytes, total) => {
          if (item.state === "offline") item.move("send");
          item.progress(bytes, total);
        },
        disconnected: () => {
          if (item.move("disconnect")) notices.say(`${item.name}: ${t.item.offline}`);
        },
        accepted: (id) => {
          this.#leave(item, "accept");
          this.#forget(item.key);
          item.totalBytes = item.sentBytes;
          item.conversionId = id;
          this.#schedule(0);
        },
        refused: (problem) => {
          item.trouble = say(problem);
          this.#leave(item, "fail");
          this.#forget(item.key);
          notices.say(t.said.failed(item.name, item.trouble));
        },
        loginNeeded: () => void this.#logInAgain(item),
        extractionFailed: () => {
          const url = item.uploadUrl;
          this.#forget(item.key);
          item.begin();
          item.sent = "whole";
          if (url !== null) void endUpload(url);
          void this.#send(item);
        },
      },
    );
    this.#uploads.set(item, upload);
    await upload.start();
  }

  #leave(item: Item, move: "accept" | "fail" | "pause"): void {
    this.#uploads.delete(item);
    item.move(move);
    this.#pump();
  }

  async #logInAgain(item: Item): Promise<void> {
    this.#uploads.delete(item);
    item.move("pause");
    if (await account.require("ended")) {
      item.move("start");
      this.#pump();
    }
  }

  #keep(item: Item): void {
    if (item.fingerprint === "") return;
    unfinished.keep({
      key: item.key,
      fingerprint: item.fingerprint,
      url: item.uploadUrl,
      name: item.name,
      bytes: item.bytes,
      sent: item.sent,
      sentBytes: item.sentBytes,
      options: item.sentOptions ?? {},
    });
  }

  /** Remember how far all uploads are, when the page may be closed. */
  keepAll(): void {
    for (const item of this.items) if (needsPage(item.state) || item.state === "paused") this.#keep(item);
  }

  /** Ask soon, because something may have changed. */
  wake(): void {
    this.#schedule(0);
  }

  #schedule(ms: number): void {
    clearTimeout(this.#poll);
    this.#pollMs = ms;
    this.#poll = setTimeout(() => void this.#ask(), ms);
  }

  /** Ask for all conversions under way in one request. */
  async #ask(): Promise<void> {
    const watched = this.items.filter((item) => isAtService(item.state)).slice(0, IDS_AT_ONCE);
    if (watched.length === 0) return;
    let moved = false;
    try {
      const ids = watched.map((item) => item.conversionId!);
      const etag = this.#etag.ids === ids.join() ? this.#etag.value : null;
      const answer = await api.watch(ids, etag);
      if (answer !== null) {
        this.#etag = { ids: ids.join(), value: answer.etag };
        moved = this.#observe(watched, answer.items);
      }
    } catch (error) {
      if (error instanceof LoginNeeded && !(await account.require("ended"))) return;
    }
    this.#schedule(nextPoll(this.#pollMs, { moved, hidden: document.hidden }));
  }

  #observe(watched: readonly Item[], conversions: readonly Conversion[]): boolean {
    let moved = false;
    for (const item of watched) {
      const conversion = conversions.find(({ id }) => id === item.conversionId!);
      // It was deleted elsewhere.
      if (conversion === undefined) moved = item.move("cancel") || moved;
      else moved = item.observe(conversion) || moved;
      if (item.state === "completed") notices.say(t.said.completed(item.name));
      const error = conversion?.error;
      if (item.state === "failed") notices.say(t.said.failed(item.name, error ? sayFailure(error) : undefined));
    }
    return moved;
  }
}

/**
 * Let the service delete what was sent. Right after a request was broken off, it may not know of that yet, and refuse.
 * If nothing helps, it deletes an upload by itself when nothing is added to it for long.
 */
async function endUpload(url: string): Promise<void> {
  for (let attempts = 0; attempts < 6; attempts += 1) {
    try {
      return await api.endUpload(url);
    } catch (error) {
      if (!(error instanceof Problem) || !error.isTemporary) return;
      await new Promise((resolve) => setTimeout(resolve, nextTry(attempts)));
    }
  }
}

async function look(file: File) {
  try {
    const { openSound } = await import("../sound");
    return await openSound(file);
  } catch {
    return null;
  }
}

async function extractionOf(item: Item) {
  try {
    return (await (await item.looking)?.extraction()) ?? null;
  } catch {
    return null;
  }
}

export const queue = new Queue();
