import { api, session, type Conversion, type Page } from "../api/client";
import { LoginNeeded, Problem } from "../api/problem";
import { t } from "../lang";
import { notices } from "../notices.svelte";
import { say } from "../say";
import { removals } from "./removals";

export type Filter = "all" | "completed" | "running" | "failed";

const STATES: Record<Filter, readonly Conversion["state"][]> = {
  all: ["queued", "converting", "completed", "failed"],
  completed: ["completed"],
  running: ["queued", "converting"],
  failed: ["failed"],
};

const PAGE = 50;
const IDS_AT_ONCE = 100;
/** So many the service puts into one ZIP. */
export const MOST_SELECTED = 100;

const isUnderWay = ({ state }: Conversion): boolean => STATES.running.includes(state);
const newestFirst = (items: readonly Conversion[]): Conversion[] =>
  items.toSorted((a, b) => b.created_at.localeCompare(a.created_at));

/** The conversions that match all words of a search, in their names, titles, artists and albums. */
export function matching(items: readonly Conversion[], search: string, filter: Filter): Conversion[] {
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  return items.filter((item) => {
    if (!STATES[filter].includes(item.state)) return false;
    const { title, artist, album } = item.options;
    const text = [item.filename, title, artist, album].join(" ").toLocaleLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** The first page as it is now, with what is known to come after it. `overlaps` says whether there is any. */
export function withFirstPage(
  known: readonly Conversion[],
  page: readonly Conversion[],
): { items: Conversion[]; overlaps: boolean } {
  const ids = new Set(page.map(({ id }) => id));
  const oldest = page.at(-1);
  // If the page has nothing of what is known, there may be more between the two.
  if (oldest === undefined || !known.some(({ id }) => ids.has(id))) return { items: [...page], overlaps: false };
  const after = known.filter(({ id, created_at }) => !ids.has(id) && created_at < oldest.created_at);
  return { items: [...page, ...after], overlaps: after.length > 0 };
}

export class Library {
  items = $state.raw<Conversion[]>([]);
  search = $state("");
  filter = $state<Filter>("all");
  loading = $state(false);
  loaded = $state(false);
  trouble = $state<string | null>(null);
  shown = $derived(matching(this.items, this.search, this.filter));
  /** What is selected, and shown: nothing is done to what nobody sees. */
  selected = $derived.by(() => new Set(this.shown.map(({ id }) => id).filter((id) => this.#selected.has(id))));
  hasMore = $derived.by(() => this.#cursor !== null);
  isUnderWay = $derived(this.items.some(isUnderWay));

  #selected = $state.raw<ReadonlySet<string>>(new Set());
  #cursor = $state<string | null>(null);
  /** Deleted here, but not yet at the service, so that it can be undone. */
  #removed = new Map<string, Conversion>();
  #last: Promise<void> = Promise.resolve();
  #visit = 0;
  #etag: { ids: string; value: string | null } = { ids: "", value: null };
  #watching: Promise<void> | null = null;

  /** Fetch the newest conversions. What was fetched after them stays. */
  load(): Promise<void> {
    return this.#inTurn(() =>
      this.#fetch(null, (page) => {
        const { items, overlaps } = withFirstPage(this.items, page.items);
        this.items = items;
        if (!overlaps) this.#cursor = page.next_cursor;
      }),
    );
  }

  more(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#cursor === null) return;
      await this.#fetch(this.#cursor, (page) => {
        const ids = new Set(page.items.map(({ id }) => id));
        this.items = [...this.items.filter(({ id }) => !ids.has(id)), ...page.items];
        this.#cursor = page.next_cursor;
      });
    });
  }

  /** A search covers all conversions, so the rest of them are fetched. */
  async loadAll(): Promise<void> {
    while (this.#cursor !== null && this.search !== "" && this.trouble === null) await this.more();
  }

  /** Ask for those under way. One that is no longer there was deleted elsewhere. */
  watch(): Promise<void> {
    this.#watching ??= this.#inTurn(() => this.#ask()).finally(() => (this.#watching = null));
    return this.#watching;
  }

  async #ask(): Promise<void> {
    const asked = this.items
      .filter(isUnderWay)
      .map(({ id }) => id)
      .slice(0, IDS_AT_ONCE);
    if (asked.length === 0) return;
    const visit = this.#visit;
    const etag = this.#etag.ids === asked.join() ? this.#etag.value : null;
    // If it fails, it is asked again soon.
    const answer = await api.watch(asked, etag).catch(() => null);
    if (answer === null || visit !== this.#visit) return;
    this.#etag = { ids: asked.join(), value: answer.etag };
    const found = new Set(answer.items.map(({ id }) => id));
    this.items = this.items.filter(({ id }) => found.has(id) || !asked.includes(id));
    this.merge(answer.items);
  }

  /** Take over what the service says of some of them. */
  merge(conversions: readonly Conversion[]): void {
    const fresh = new Map(conversions.map((conversion) => [conversion.id, conversion]));
    this.items = this.items.map((item) => fresh.get(item.id) ?? item);
  }

  clear(): void {
    this.#visit += 1;
    this.items = [];
    this.#removed.clear();
    this.#selected = new Set();
    this.loaded = false;
    this.#cursor = null;
  }

  /** One after the other: two answers that overtake each other would leave gaps. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(work);
    return this.#last;
  }

  async #fetch(cursor: string | null, take: (page: Page) => void): Promise<void> {
    const visit = this.#visit;
    this.loading = true;
    this.trouble = null;
    try {
      const page = await api.list(cursor, PAGE);
      if (visit !== this.#visit) return;
      const removed = new Set([...this.#removed.keys(), ...removals.kept(session.storage)]);
      take({ ...page, items: page.items.filter(({ id }) => !removed.has(id)) });
      this.loaded = true;
    } catch (error) {
      if (!(error instanceof LoginNeeded)) this.trouble = say(error);
    } finally {
      this.loading = false;
    }
  }

  /** Returns whether it is selected now. Not more are than one ZIP can hold. */
  select(id: string, on: boolean): boolean {
    const ids = new Set(this.selected);
    if (on && ids.size < MOST_SELECTED) ids.add(id);
    if (!on) ids.delete(id);
    this.#selected = ids;
    return ids.has(id);
  }

  /** Remove conversions from the list at once, and from the service when that can no longer be undone. */
  remove(ids: readonly string[]): void {
    const gone = this.items.filter(({ id }) => ids.includes(id));
    for (const item of gone) this.#removed.set(item.id, item);
    this.items = this.items.filter(({ id }) => !ids.includes(id));
    this.#selected = new Set([...this.#selected].filter((id) => !ids.includes(id)));
    notices.show(
      t.library.removed(gone.length, gone[0]?.filename ?? ""),
      { label: t.library.undo, run: () => this.#undo(gone) },
      () => void this.#flush(ids),
    );
  }

  #undo(gone: readonly Conversion[]): void {
    // Those of somebody who has logged out meanwhile belong in no other person's list.
    const back = gone.filter(({ id }) => this.#removed.delete(id));
    removals.forget(
      back.map(({ id }) => id),
      session.storage,
    );
    this.items = newestFirst([...this.items, ...back]);
  }

  /** Delete for good what was taken out of the list. */
  async #flush(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const item = this.#removed.get(id);
      if (item === undefined) continue;
      const error = await deletion(id);
      if (error === null || error instanceof LoginNeeded) {
        this.#removed.delete(id);
        removals.forget([id], session.storage);
      } else {
        this.#undo([item]);
        notices.show(say(error));
      }
    }
  }

  /**
   * Delete what was taken out of the list when the page is closed. What the service may not have heard of is kept for the
   * next start: a page that is closing must not refresh its session, since the fresh token might be lost with it.
   */
  leave(): void {
    const ids = [...this.#removed.keys()];
    removals.keep(ids, session.storage);
    for (const id of ids) api.removeAtLast(id);
  }

  /** Delete what was left when the page was closed. */
  async finish(): Promise<void> {
    for (const id of removals.kept(session.storage)) {
      const error = await deletion(id);
      // What does not answer now is asked at the next start.
      if (error === null) removals.forget([id], session.storage);
    }
  }
}

/** Delete a conversion, and return what is in the way of it. One that is gone already is none. */
async function deletion(id: string): Promise<unknown> {
  try {
    await api.remove(id);
    return null;
  } catch (error) {
    return error instanceof Problem && error.status === 404 ? null : error;
  }
}

export const library = new Library();
