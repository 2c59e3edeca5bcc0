import { api, type Conversion } from "../api/client";
import { LoginNeeded, Problem } from "../api/problem";
import { t } from "../lang";
import { notices } from "../notices.svelte";

export type Filter = "all" | "completed" | "running" | "failed";

const STATES: Record<Filter, readonly Conversion["state"][]> = {
  all: ["queued", "converting", "completed", "failed"],
  completed: ["completed"],
  running: ["queued", "converting"],
  failed: ["failed"],
};

const PAGE = 50;
const MOST_IN_ZIP = 100;

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

class Library {
  items = $state.raw<Conversion[]>([]);
  search = $state("");
  filter = $state<Filter>("all");
  loading = $state(false);
  loaded = $state(false);
  trouble = $state<string | null>(null);
  selected = $state.raw<ReadonlySet<string>>(new Set());
  shown = $derived(matching(this.items, this.search, this.filter));
  hasMore = $derived.by(() => this.#cursor !== null);

  #cursor = $state<string | null>(null);
  /** Deleted here, but not yet at the service, so that it can be undone. */
  #removed = new Map<string, Conversion>();

  async load(): Promise<void> {
    await this.#fetch(null);
  }

  async more(): Promise<void> {
    if (this.#cursor !== null) await this.#fetch(this.#cursor);
  }

  /** A search covers all conversions, so the rest of them are fetched. */
  async loadAll(): Promise<void> {
    while (this.#cursor !== null && !this.loading && this.trouble === null) await this.more();
  }

  clear(): void {
    this.items = [];
    this.selected = new Set();
    this.loaded = false;
    this.#cursor = null;
  }

  async #fetch(cursor: string | null): Promise<void> {
    this.loading = true;
    this.trouble = null;
    try {
      const page = await api.list(cursor, PAGE);
      const fresh = page.items.filter(({ id }) => !this.#removed.has(id));
      const ids = new Set(fresh.map(({ id }) => id));
      this.items = cursor === null ? fresh : [...this.items.filter(({ id }) => !ids.has(id)), ...fresh];
      this.#cursor = page.next_cursor;
      this.loaded = true;
    } catch (error) {
      if (error instanceof LoginNeeded) return;
      this.trouble = error instanceof Problem ? error.detail : t.unreachable;
    } finally {
      this.loading = false;
    }
  }

  select(id: string, on: boolean): void {
    const ids = new Set(this.selected);
    if (on && ids.size < MOST_IN_ZIP) ids.add(id);
    else ids.delete(id);
    this.selected = ids;
  }

  selectNone(): void {
    this.selected = new Set();
  }

  /** Remove conversions from the list at once, and from the service when that can no longer be undone. */
  remove(ids: readonly string[]): void {
    const gone = this.items.filter(({ id }) => ids.includes(id));
    const before = this.items;
    for (const item of gone) this.#removed.set(item.id, item);
    this.items = before.filter(({ id }) => !ids.includes(id));
    this.selected = new Set([...this.selected].filter((id) => !ids.includes(id)));
    notices.show(
      t.library.removed(gone.length, gone[0]?.filename ?? ""),
      { label: t.library.undo, run: () => this.#undo(gone) },
      () => this.flush(ids),
    );
  }

  #undo(gone: readonly Conversion[]): void {
    for (const { id } of gone) this.#removed.delete(id);
    this.items = [...this.items, ...gone].sort((a, b) => b.created_at.localeCompare(a.created_at));
  }

  /** Delete for good what was removed from the list; all of it when the page is closed. */
  flush(ids: readonly string[] = [...this.#removed.keys()]): void {
    for (const id of ids) {
      const item = this.#removed.get(id);
      if (item === undefined) continue;
      api.remove(id).then(
        () => this.#removed.delete(id),
        (error) => {
          this.#undo([item]);
          notices.show(error instanceof Problem ? error.detail : t.unreachable);
        },
      );
    }
  }
}

export const library = new Library();
