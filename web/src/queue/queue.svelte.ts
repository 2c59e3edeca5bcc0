import { account } from "../account/account.svelte";
import { api, session, type Conversion, type Page } from "../api/client";
import { LoginNeeded, Problem, Unreachable } from "../api/problem";
import { t } from "../lang";
import { notices } from "../notices.svelte";
import { say, sayFailure } from "../say";
import { needsPicture, optionValues } from "../options/options";
import { preferences } from "../options/preferences.svelte";
import { nextTry } from "./backoff";
import { Claims } from "./claims";
import { Few } from "./few";
import { fingerprint, layoutOf } from "./fingerprint";
import { isGone } from "./gone";
import { fileBehind, handles, type FileHandle } from "./handles";
import { Item } from "./item.svelte";
import { Poll } from "./poll";
import { isAtService, isOver, needsPage, next } from "./states";
import { unfinished } from "./unfinished";
import { Upload } from "./upload";

export interface Dropped {
  file: File;
  handle?: FileHandle;
}

const IDS_AT_ONCE = 100;
const LOOKS_AT_ONCE = 2;
// How long the page that was left by a reload may hold its claims.
const RELOAD_MS = 1000;

/** All files on this page that are on their way to MP3s. */
class Queue {
  items = $state<Item[]>([]);
  ready = $derived(this.items.filter((item) => item.state === "ready"));
  /** Files that were started, newest first. */
  started = $derived(this.items.filter((item) => item.state !== "ready").toReversed());
  needsPage = $derived(this.items.some((item) => needsPage(item.state)));

  #uploads = new Map<Item, Upload>();
  #claims = new Claims(navigator.locks);
  #looks = new Few(LOOKS_AT_ONCE);
  #poll = new Poll(() => this.#ask());
  #etag: { ids: string; value: string | null } = { ids: "", value: null };
  /** Counts how often all was forgotten. */
  #clears = 0;

  /** Take up the uploads that were interrupted, except those that are alive in another tab. */
  async restore(): Promise<void> {
    const { user } = session;
    const before = this.#clears;
    const found = unfinished.of(user);
    const mine = await Promise.all(found.map(({ key }) => this.#claims.take(key, RELOAD_MS)));
    if (this.#clears !== before) return;
    // The other tab may have been done with some of them before it let go.
    const left = new Map(unfinished.of(user).map((upload) => [upload.key, upload]));
    for (const [index, { key }] of found.entries()) {
      if (!mine[index] || this.items.some((item) => item.key === key)) continue;
      const upload = left.get(key);
      // What takeUp has found is at the service completely.
      if (upload === undefined || this.items.some((item) => item.conversionId === (idIn(upload.url) ?? ""))) {
        this.#forget(key);
        continue;
      }
      const item = Item.ofUpload(upload);
      this.items.push(item);
      item.handle = await handles.get(key);
      const file = session.exists ? await this.#fileOf(item, { mayAsk: false }) : null;
      if (file !== null) this.#continueWith(item, file);
      if (this.#clears !== before) return;
    }
  }

  /** Take up the conversions that the service is working on. */
  async takeUp(): Promise<void> {
    const before = this.#clears;
    for (let attempts = 0; ; attempts += 1) {
      try {
        const conversions = await conversionsUnderWay();
        if (this.#clears === before) this.#takeUp(conversions);
        return;
      } catch (error) {
        if (!mayWorkLater(error)) return;
        await pause(nextTry(attempts));
        if (this.#clears !== before) return;
      }
    }
  }

  #takeUp(conversions: readonly Conversion[]): void {
    // An upload has the id of its conversion. It may be accepted already, while the answer is on its way.
    const known = new Set(this.items.flatMap((item) => [item.conversionId, idIn(item.uploadUrl)]));
    for (const conversion of conversions) {
      if (!known.has(conversion.id)) this.items.push(Item.ofConversion(conversion));
    }
    this.#poll.wake();
  }

  /** Take files that were dropped, chosen or shared. An interrupted one resumes where it was. */
  async add(dropped: readonly Dropped[], { mayStart = true } = {}): Promise<void> {
    if (dropped.length === 0) return;
    // So that nothing is left to load when the person presses the button.
    void import("tus-js-client").catch(() => {});
    for (const { file, handle } of dropped) {
      const print = await fingerprint(file).catch(() => "");
      const waiting = this.items.find((item) => item.fingerprint === print && item.state === "paused" && !item.file);
      const item = waiting ?? new Item(file.name, file.size);
      item.handle = handle ?? null;
      if (waiting) {
        this.#continueWith(waiting, file);
        continue;
      }
      item.fingerprint = print;
      this.#claims.own(item.key);
      this.items.push(item);
      this.#look(item, file);
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

  /** Resume a paused item. Returns false if its file has to be chosen again first. */
  async resume(item: Item): Promise<boolean> {
    return await this.#alone(item, true, async () => {
      const file = await this.#fileOf(item, { mayAsk: true });
      if (file === null) return false;
      if (await account.require("start")) this.#continueWith(item, file);
      return true;
    });
  }

  async cancel(item: Item): Promise<void> {
    if (isAtService(item.state)) return this.#alone(item, undefined, () => this.#cancelConversion(item));
    const { uploadUrl } = item;
    if (!item.move("cancel")) return;
    this.#stop(item);
    this.#forget(item.key);
    this.#pump();
    if (uploadUrl !== null) await endUpload(uploadUrl);
  }

  async #cancelConversion(item: Item): Promise<void> {
    try {
      await api.remove(item.conversionId!);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) return notices.show(this.#explain(error));
    }
    // It may have ended meanwhile, and is gone with its MP3.
    if (!item.move("cancel")) this.remove(item);
  }

  async retry(item: Item): Promise<void> {
    await this.#alone(item, undefined, async () => {
      if (item.state === "failed" && item.conversionId !== null) return this.#retryConversion(item, item.conversionId);
      if (item.file === null || !(await account.require("start"))) return;
      if (!item.move("retry")) return;
      this.#renew(item);
      this.#keep(item);
      this.#pump();
    });
  }

  async #retryConversion(item: Item, id: string): Promise<void> {
    try {
      const conversion = await api.retry(id);
      item.move("queue");
      item.observe(conversion);
      this.#poll.wake();
    } catch (error) {
      item.trouble = this.#explain(error);
    }
  }

  /** What to tell the person about a request that has failed. They are asked to log in if that is why. */
  #explain(error: unknown): string {
    if (error instanceof LoginNeeded) void account.require("ended");
    return say(error);
  }

  remove(item: Item): void {
    if (!isOver(item.state) && item.state !== "ready") return;
    this.#forget(item.key);
    this.items = this.items.filter((other) => other !== item);
  }

  /** Stop all uploads and forget what belongs to the person who has logged out. */
  clear(): void {
    this.#clears += 1;
    for (const item of this.items) {
      this.#stop(item);
      this.#forget(item.key);
    }
    this.items = [];
    this.#poll.stop();
  }

  /** Do what the person asks of an item, unless something else that they asked of it is still being done. */
  async #alone<T>(item: Item, otherwise: T, work: () => Promise<T>): Promise<T> {
    if (item.isBusy) return otherwise;
    item.isBusy = true;
    try {
      return await work();
    } finally {
      item.isBusy = false;
    }
  }

  /** The file of an item, behind its handle if need be; null if it is not there, or is another one by now. */
  async #fileOf(item: Item, { mayAsk }: { mayAsk: boolean }): Promise<File | null> {
    if (item.file !== null) return item.file;
    const file = item.handle && (await fileBehind(item.handle, { mayAsk }));
    if (!file) return null;
    return (await fingerprint(file).catch(() => "")) === item.fingerprint ? file : null;
  }

  /** Go on with an item, unless it was started, cancelled or removed in the meantime. */
  #continueWith(item: Item, file: File): void {
    if (!this.items.includes(item) || !item.move("start")) return;
    this.#look(item, file);
    this.#keep(item);
    this.#pump();
  }

  #look(item: Item, file: File): void {
    item.file = file;
    item.looking = this.#looks.run(() => look(file));
    void item.looking.then((sound) => (item.sound = sound));
  }

  #stop(item: Item): void {
    this.#uploads.get(item)?.stop();
    this.#uploads.delete(item);
  }

  #forget(key: string): void {
    unfinished.forget(key);
    void handles.forget(key);
    this.#claims.release(key);
  }

  /** Let an item be sent from the start, and let the service delete what was sent of it. */
  #renew(item: Item): void {
    const { key, uploadUrl } = item;
    item.begin();
    this.#claims.own(item.key);
    this.#forget(key);
    if (uploadUrl !== null) void endUpload(uploadUrl);
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
    const extraction = wantsSound ? await extractionOf(item) : null;
    const layout = extraction && (await layoutOf(extraction).catch(() => null));
    const gone = await isGone(file);
    // Meanwhile, it may have been stopped, and perhaps started again.
    if (item.state !== "sending" || item.runs !== run || !this.items.includes(item)) return;
    if (gone) return this.#askForFile(item);
    // What cannot be read to its 64th KiB cannot be read to its end.
    item.extraction = layout === null ? null : extraction;
    const sent = item.extraction ? "sound" : "whole";
    // What was begun as sound cannot go on as a whole file, nor as sound that is laid out in another way.
    if (item.sent !== null && (item.sent !== sent || (item.uploadUrl !== null && item.layout !== layout))) {
      this.#renew(item);
    }
    item.sent = sent;
    item.layout = layout;
    item.sentOptions ??= optionValues(preferences, item.choices);
    item.totalBytes = item.extraction ? item.extraction.bytes : file.size;
    const metadata = {
      // Always the name of the video, since that is how the person knows it.
      filename: file.name,
      filetype: item.extraction?.mimeType ?? (file.type || "application/octet-stream"),
      original_bytes: String(file.size),
      sent,
      ...item.sentOptions,
    };
    const upload = new Upload(
      {
        file,
        extraction: item.extraction,
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
          this.#poll.wake();
        },
        refused: (problem) => {
          item.trouble = say(problem);
          this.#leave(item, "fail");
          this.#forget(item.key);
          notices.say(t.said.failed(item.name, item.trouble));
        },
        loginNeeded: () => void this.#logInAgain(item),
        extractionFailed: () => {
          this.#uploads.delete(item);
          // The connection may have been lost when it broke. Whether it is back is for the next upload to find out.
          if (item.state === "offline") item.move("send");
          this.#renew(item);
          item.sent = "whole";
          this.#keep(item);
          void this.#send(item);
        },
        fileGone: () => this.#askForFile(item),
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

  #askForFile(item: Item): void {
    item.file = null;
    this.#leave(item, "pause");
    notices.say(`${item.name}: ${t.item.needsFile}`);
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
    if (item.fingerprint === "" || !this.#claims.has(item.key)) return;
    // Handles lie in IndexedDB, which outlives the tab.
    if (item.handle && !session.isPassing) void handles.keep(item.key, item.handle);
    unfinished.keep({
      key: item.key,
      user: session.user,
      fingerprint: item.fingerprint,
      url: item.uploadUrl,
      name: item.name,
      bytes: item.bytes,
      sent: item.sent,
      sentBytes: item.sentBytes,
      layout: item.layout,
      options: item.sentOptions ?? {},
    });
  }

  /** Remember how far all uploads have got, when the page may be about to close. */
  keepAll(): void {
    for (const item of this.items) if (needsPage(item.state) || item.state === "paused") this.#keep(item);
  }

  /** Ask again soon, because something may have changed. */
  wake(): void {
    this.#poll.wake();
  }

  /** Ask for all conversions under way in one request. Returns whether any has moved; null if there are none. */
  async #ask(): Promise<boolean | null> {
    const watched = this.items.filter((item) => isAtService(item.state)).slice(0, IDS_AT_ONCE);
    if (watched.length === 0) return null;
    try {
      const ids = watched.map((item) => item.conversionId!);
      const etag = this.#etag.ids === ids.join() ? this.#etag.value : null;
      const answer = await api.watch(ids, etag);
      if (answer === null) return false;
      this.#etag = { ids: ids.join(), value: answer.etag };
      return this.#observe(watched, answer.items);
    } catch (error) {
      return error instanceof LoginNeeded && !(await account.require("ended")) ? null : false;
    }
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
 * Have the service delete what was sent. Right after a request was aborted, it may not know that yet, and refuse.
 * If nothing helps, it deletes an upload by itself once nothing has been added to it for a long time.
 */
async function endUpload(url: string): Promise<void> {
  for (let attempts = 0; attempts < 6; attempts += 1) {
    try {
      return await api.endUpload(url);
    } catch (error) {
      if (!(error instanceof Problem) || !error.isTemporary) return;
      await pause(nextTry(attempts));
    }
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** All conversions that the service is working on, oldest first. */
async function conversionsUnderWay(): Promise<Conversion[]> {
  const found: Conversion[] = [];
  for (const state of ["queued", "converting"] as const) {
    let cursor: string | null = null;
    do {
      const page: Page = await api.list(cursor, 100, state);
      found.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
  }
  // One that has moved between the two requests is in both.
  const byId = new Map(found.map((conversion) => [conversion.id, conversion]));
  return [...byId.values()].sort((a, b) => a.created_at.localeCompare(b.created_at));
}

const mayWorkLater = (error: unknown): boolean =>
  error instanceof Unreachable || (error instanceof Problem && error.isTemporary);

/** The id at the end of the address of an upload. */
const idIn = (url: string | null): string | null => url && url.slice(url.lastIndexOf("/") + 1);

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
