import { session } from "../api/client";
import type { OptionValues } from "../options/options";

const KEY = "video2mp3.uploads";

/** What it takes to resume an upload after the page was closed. */
export interface Unfinished {
  key: string;
  /** Whose upload it is. */
  user: string | null;
  fingerprint: string;
  /** Null if it was still waiting. */
  url: string | null;
  name: string;
  bytes: number;
  sent: "sound" | "whole" | null;
  sentBytes: number;
  /** A digest of the beginning of the sound, if only that is sent. */
  layout: string | null;
  options: OptionValues;
}

/**
 * The uploads that were interrupted, in `localStorage`. On a device that is not the person's own they are in
 * `sessionStorage`, as the session is.
 */
export class UnfinishedUploads {
  /** `storages` gives the one to use now, and after it the other one, where something may lie that has to be forgotten. */
  constructor(private readonly storages: () => readonly [Storage, ...Storage[]]) {}

  /** Those of one person. */
  of(user: string | null): Unfinished[] {
    return all(this.storages()[0]).filter((upload) => upload.user === user);
  }

  keep(upload: Unfinished): void {
    const [storage] = this.storages();
    write(storage, [...all(storage).filter(({ key }) => key !== upload.key), upload]);
  }

  forget(key: string): void {
    for (const storage of this.storages()) {
      const before = all(storage);
      const others = before.filter((upload) => upload.key !== key);
      if (others.length < before.length) write(storage, others);
    }
  }
}

function all(storage: Storage): Unfinished[] {
  try {
    return JSON.parse(storage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

function write(storage: Storage, uploads: Unfinished[]): void {
  try {
    storage.setItem(KEY, JSON.stringify(uploads));
  } catch {
    // If there is no room for it, the upload just cannot be resumed after the page was closed.
  }
}

export const unfinished = new UnfinishedUploads(() =>
  session.isPassing ? [sessionStorage, localStorage] : [localStorage, sessionStorage],
);
