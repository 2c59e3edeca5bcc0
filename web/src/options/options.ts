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
  /** In Hz; empty to leave it as it is. */
  sampleRate: "" | "8000" | "11025" | "12000" | "16000" | "22050" | "24000" | "32000" | "44100" | "48000";
  /** Of the soundtrack; empty for that of the browser. */
  language: string;
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
  albumArtist: string;
  genre: string;
  year: string;
  trackNumber: string;
  comment: string;
  /** A time at which the picture becomes the cover; empty for the cover that the preferences say. */
  coverAt: string;
}

/** Languages that films often have. A browser with another one is asked for its own. */
export const LANGUAGES =
  "ar bg cs da de el en es fa fi fr he hi hr hu id it ja ko nl no pl pt ro ru sk sr sv ta te th tr uk vi zh".split(" ");

export const DEFAULTS: Preferences = {
  quality: "auto",
  channels: "auto",
  loudness: "",
  cover: "auto",
  chapters: "keep",
  damaged: "refuse",
  sampleRate: "",
  language: "",
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
  albumArtist: "",
  genre: "",
  year: "",
  trackNumber: "",
  comment: "",
  coverAt: "",
};

/** What each preference may be. An older page, or a newer one, may have left something else. */
const VALUES: { [Name in keyof Preferences]: readonly Preferences[Name][] } = {
  quality: ["auto", "copy", "v0", "v2", "v4", "128", "192", "256", "320"],
  channels: ["auto", "mono", "stereo"],
  loudness: ["", "-14", "-16", "-23"],
  cover: ["auto", "none"],
  chapters: ["keep", "none"],
  damaged: ["refuse", "accept"],
  sampleRate: ["", "8000", "11025", "12000", "16000", "22050", "24000", "32000", "44100", "48000"],
  language: ["", ...LANGUAGES],
  onlySound: [true, false],
  startAtOnce: [true, false],
};

/** The forms that the service takes, for the fields where people type. The same as in its API document. */
export const FORMS = {
  coverAt: "[0-9]{1,6}(\\.[0-9]{1,6})?|([0-9]{1,2}:)?[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]{1,6})?",
  year: "[0-9]{1,4}|[0-9]{4}-[0-9]{2}-[0-9]{2}",
  trackNumber: "[0-9]{1,3}(/[0-9]{1,3})?",
} as const;

const LANGUAGE_TAG = /^[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}$/i;

const KEY = "video2mp3.preferences";

/** The preferences from last time. Values that are no longer known are left out. */
export function remembered(storage: Storage): Preferences {
  try {
    const stored = JSON.parse(storage.getItem(KEY) ?? "{}");
    const known = Object.entries(stored).filter(
      ([name, value]) => name in VALUES && (VALUES[name as keyof Preferences] as readonly unknown[]).includes(value),
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
    preferences.sampleRate === "" &&
    choices.track !== "mix" &&
    choices.start === null &&
    choices.end === null
  );
}

/** Whether the picture of the video is needed, so that its sound alone is not enough. */
export function needsPicture({ sentOptions, choices }: { sentOptions: OptionValues | null; choices: FileChoices }) {
  const cover = sentOptions?.["cover"] ?? fitting("coverAt", choices.coverAt);
  return cover !== "" && cover !== "auto" && cover !== "none";
}

/** What was typed, if the service takes it. The page shows what it does not take, and it is no reason to fail. */
function fitting(name: keyof typeof FORMS, typed: string): string {
  const value = typed.trim();
  return new RegExp(`^(?:${FORMS[name]})$`).test(value) ? value : "";
}

/**
 * The options to send: those that are not the service's own defaults. `spoken` is the language of the browser.
 */
export function optionValues(
  preferences: Preferences,
  choices: FileChoices,
  spoken: string = navigator.language,
): OptionValues {
  const language = preferences.language || spoken;
  const { quality, channels, loudness, cover, chapters, damaged } = preferences;
  const values: OptionValues = {
    // `copy` excludes options that change the sound, and the page offers both, so the more specific choice wins.
    quality: quality === "copy" && !canCopy(preferences, choices) ? "auto" : quality,
    channels,
    loudness,
    cover: fitting("coverAt", choices.coverAt) || cover,
    chapters,
    damaged,
    sample_rate: preferences.sampleRate,
    preferred_language: LANGUAGE_TAG.test(language) ? language : "",
    start: choices.start === null ? "" : seconds(choices.start),
    end: choices.end === null ? "" : seconds(choices.end),
    title: choices.title.trim(),
    artist: choices.artist.trim(),
    album: choices.album.trim(),
    album_artist: choices.albumArtist.trim(),
    genre: choices.genre.trim(),
    year: fitting("year", choices.year),
    track_number: fitting("trackNumber", choices.trackNumber),
    comment: choices.comment.trim(),
    [choices.track === "mix" ? "tracks" : "track"]: choices.track,
  };
  const own = { ...DEFAULTS } as Record<string, unknown>;
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== "" && value !== own[name]));
}

const seconds = (value: number): string => value.toFixed(3).replace(/\.?0+$/, "");
