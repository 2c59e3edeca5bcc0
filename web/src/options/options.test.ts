import { expect, test } from "vitest";

import {
  DEFAULTS,
  needsPicture,
  NO_CHOICES,
  optionValues as optionValuesIn,
  remember,
  remembered,
  type FileChoices,
  type Preferences,
} from "./options";

const optionValues = (preferences: Preferences, choices: FileChoices) => optionValuesIn(preferences, choices, "");

test("defaults are left to the service", () => {
  expect(optionValues(DEFAULTS, NO_CHOICES)).toEqual({});
});

test("choices are sent by the service's own names", () => {
  const preferences = { ...DEFAULTS, quality: "v0", loudness: "-16" } as const;
  const choices = {
    ...NO_CHOICES,
    track: "2",
    start: 90.5,
    end: 120,
    title: " The best part ",
  };

  expect(optionValues(preferences, choices)).toEqual({
    quality: "v0",
    loudness: "-16",
    track: "2",
    start: "90.5",
    end: "120",
    title: "The best part",
  });
});

test("a mix of all soundtracks is an option of its own", () => {
  expect(optionValues(DEFAULTS, { ...NO_CHOICES, track: "mix" })).toEqual({
    tracks: "mix",
  });
});

test("a trimmed sound cannot be a copy, so the quality is automatic", () => {
  expect(optionValues({ ...DEFAULTS, quality: "copy" }, { ...NO_CHOICES, end: 10 })).toEqual({ end: "10" });
});

test("preferences are remembered, and unknown or broken ones are not", () => {
  const items = new Map<string, string>();
  const storage = {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  } as Storage;

  remember({ ...DEFAULTS, quality: "320" }, storage);
  expect(remembered(storage)).toEqual({ ...DEFAULTS, quality: "320" });

  storage.setItem("video2mp3.preferences", '{"quality": 7, "colour": "red", "chapters": "none"}');
  expect(remembered(storage)).toEqual({ ...DEFAULTS, chapters: "none" });
});

test.each([
  ["quality", "v9"],
  ["loudness", "-99"],
  ["channels", "surround"],
  ["sampleRate", "1"],
  ["language", "xx"],
  ["onlySound", "yes"],
])("a %s that does not exist is not remembered, since it would be refused each time", (name, value) => {
  const storage = { getItem: () => JSON.stringify({ [name]: value }) } as unknown as Storage;

  expect(remembered(storage)).toEqual(DEFAULTS);
});

test("the browser's language decides between soundtracks, unless another one is chosen", () => {
  expect(optionValuesIn(DEFAULTS, NO_CHOICES, "pt-BR")).toEqual({ preferred_language: "pt-BR" });
  expect(optionValuesIn({ ...DEFAULTS, language: "fr" }, NO_CHOICES, "pt-BR")).toEqual({ preferred_language: "fr" });
  expect(optionValuesIn(DEFAULTS, NO_CHOICES, "C")).toEqual({});
});

test("tags are sent by the service's names, and those that it would refuse are not", () => {
  const tags = {
    albumArtist: "Various",
    genre: " Jazz ",
    year: "2014-11-08",
    trackNumber: "3/12",
    comment: "One\nTwo",
  };

  expect(optionValues(DEFAULTS, { ...NO_CHOICES, ...tags })).toEqual({
    album_artist: "Various",
    genre: "Jazz",
    year: "2014-11-08",
    track_number: "3/12",
    comment: "One\nTwo",
  });
  expect(optionValues(DEFAULTS, { ...NO_CHOICES, year: "last year", trackNumber: "three" })).toEqual({});
});

test("another sample rate cannot be a copy", () => {
  expect(optionValues({ ...DEFAULTS, quality: "copy", sampleRate: "22050" }, NO_CHOICES)).toEqual({
    sample_rate: "22050",
  });
});

test("a cover out of the picture needs the whole file", () => {
  const needs = (coverAt: string) => needsPicture({ sentOptions: null, choices: { ...NO_CHOICES, coverAt } });

  expect(optionValues(DEFAULTS, { ...NO_CHOICES, coverAt: "1:30" })).toEqual({ cover: "1:30" });
  expect(["1:30", "12.5", "", "soon"].map(needs)).toEqual([true, true, false, false]);
});

test("after a reload, a cover out of the picture needs the whole file as before", () => {
  expect(needsPicture({ sentOptions: { cover: "1:30" }, choices: NO_CHOICES })).toBe(true);
  expect(needsPicture({ sentOptions: { cover: "none" }, choices: NO_CHOICES })).toBe(false);
});
