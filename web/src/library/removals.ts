const KEY = "video2mp3.removals";

/** The conversions that were deleted, of which the service may not know, since the page was closed meanwhile. */
export const removals = {
  /** `storage` is null if there is no session. Then nothing can be deleted later. */
  keep(ids: readonly string[], storage: Storage | null): void {
    try {
      if (ids.length > 0) storage?.setItem(KEY, JSON.stringify([...new Set([...removals.kept(storage), ...ids])]));
    } catch {
      // The storage is full. Then they are in the library again.
    }
  },

  kept(storage: Storage | null): string[] {
    try {
      const stored: unknown = JSON.parse(storage?.getItem(KEY) ?? "[]");
      return Array.isArray(stored) ? stored.filter((id) => typeof id === "string") : [];
    } catch {
      return [];
    }
  },

  forget(ids: readonly string[], storage: Storage | null): void {
    const rest = removals.kept(storage).filter((id) => !ids.includes(id));
    if (rest.length > 0) storage?.setItem(KEY, JSON.stringify(rest));
    else storage?.removeItem(KEY);
  },
};
