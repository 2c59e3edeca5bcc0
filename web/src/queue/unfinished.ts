import type { OptionValues } from "../options/options";

const KEY = "video2mp3.uploads";

/** What it takes to resume an upload after the page was closed. */
export interface Unfinished {
  key: string;
  fingerprint: string;
  /** Null if it was still waiting. */
  url: string | null;
  name: string;
  bytes: number;
  sent: "sound" | "whole" | null;
  sentBytes: number;
  options: OptionValues;
}

/** The uploads that were interrupted, in `localStorage`. */
export const unfinished = {
  all(): Unfinished[] {
    try {
      return JSON.parse(localStorage.getItem(KEY) ?? "[]");
    } catch {
      return [];
    }
  },

  keep(upload: Unfinished): void {
    write([...unfinished.all().filter(({ key }) => key !== upload.key), upload]);
  },

  forget(key: string): void {
    write(unfinished.all().filter((upload) => upload.key !== key));
  },
};

function write(uploads: Unfinished[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(uploads));
  } catch {
    // If there is no room for it, the upload just cannot be resumed after the page was closed.
  }
}
