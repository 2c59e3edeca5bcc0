import { session } from "../api/client";
import type { OptionValues } from "../options/options";

const KEY = "video2mp3.uploads";

/** What has to be known to go on with an upload after the page was closed. */
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
  constructor(private readonly storage: () => Storage) {}

  /** Those of one person. */
  of(user: string | null): Unfinished[] {
    return this.#all().filter((upload) => upload.user === user);
  }

  keep(upload: Unfinished): void {
    this.#write([...this.#all().filter(({ key }) => key !== upload.key), upload]);
  }

  forget(key: string): void {
    const all = this.#all();
    const others = all.filter((upload) => upload.key !== key);
    if (others.length < all.length) this.#write(others);
  }

  #all(): Unfinished[] {
    try {
      return JSON.parse(this.storage().getItem(KEY) ?? "[]");
    } catch {
      return [];
    }
  }

  #write(uploads: Unfinished[]): void {
    try {
      this.storage().setItem(KEY, JSON.stringify(uploads));
    } catch {
      // Without room for it, an upload can only not be resumed after the page was closed.
    }
  }
}

export const unfinished = new UnfinishedUploads(() => (session.isPassing ? sessionStorage : localStorage));
