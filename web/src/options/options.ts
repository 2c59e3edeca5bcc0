import type { components } from "../api/schema";

type Schemas = components["schemas"];

/** Options as the service takes them: as text, by its names. */
export type OptionValues = Record<string, string>;

/** What a person chooses once, and finds unchanged the next time. */
export interface Preferences {
  quality: Schemas["Quality"];
  channels: Schemas["Channels"];
  /** In LUFS; empty to leave the loudness as it is. */
  loudness: "" | "-14" | "-16" | "-23";
  cover: "auto" | "none";
  chapters: Schemas["Chapters"];
  damaged: Schemas["Damaged"];
  /** Extract the sound from the video here, and send nothing else. */
  onlySound: boolean;
  /** Start as soon as a file is dropped. */
  startAtOnce: boolean;
}

/** The options of one file. */
export interface FileChoices {
  /** A soundtrack's number, `mix`, or empty for the main one. */
  track: string;
  /** In seconds; null for the start and the end of the file. */
  start: number | null;
  end: number | null;
  title: string;
  artist: string;
  album: string;
}

export const DEFAULTS: Preferences = {
  quality: "auto",
  channels: "auto",
  loudness: "",
  cover: "auto",
  chapters: "keep",
  damaged: "refuse",
  onlySound: true,
  startAtOnce: false,
};

export const NO_CHOICES: FileChoices = {
  track: "",
  start: null,
  end: null,
  title: "",
  artist: "",
  album: "",
};

const KEY = "video2mp3.preferences";

/** The preferences from last time. Values that are no longer known are left out. */
export function remembered(storage: Storage): Preferences {
  try {
    const stored = JSON.parse(storage.getItem(KEY) ?? "{}");
    const known = Object.entries(stored).filter(
      ([name, value]) => typeof value === typeof DEFAULTS[name as keyof Preferences],
    );
    return { ...DEFAULTS, ...Object.fromEntries(known) };
  } catch {
    return { ...DEFAULTS };
  }
}

export function remember(preferences: Preferences, storage: Storage): void {
  try {
    storage.setItem(KEY, JSON.stringify(preferences));
  } catch {
    // Then they are not remembered.
  }
}

/** Whether the choices leave the sound as it is, so that it can be copied bit by bit. */
export function canCopy(preferences: Preferences, choices: FileChoices): boolean {
  return (
    preferences.channels === "auto" &&
    preferences.loudness === "" &&
    choices.track !== "mix" &&
    choices.start === null &&
    choices.end === null
  );
}

/** The options to send: those that are not the service's own defaults. */
export function optionValues(preferences: Preferences, choices: FileChoices): OptionValues {
  const { quality, channels, loudness, cover, chapters, damaged } = preferences;
  const values: OptionValues = {
    // `copy` excludes options that change the sound, and the page offers both, so the more specific choice wins.
    quality: quality === "copy" && !canCopy(preferences, choices) ? "auto" : quality,
    channels,
    loudness,
    cover,
    chapters,
    damaged,
    start: choices.start === null ? "" : seconds(choices.start),
    end: choices.end === null ? "" : seconds(choices.end),
    title: choices.title.trim(),
    artist: choices.artist.trim(),
    album: choices.album.trim(),
    [choices.track === "mix" ? "tracks" : "track"]: choices.track,
  };
  const own = { ...DEFAULTS } as Record<string, unknown>;
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== "" && value !== own[name]));
}

const seconds = (value: number): string => value.toFixed(3).replace(/\.?0+$/, "");
