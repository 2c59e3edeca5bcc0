import { expect, test } from "vitest";

import { DEFAULTS, NO_CHOICES, optionValues, remember, remembered } from "./options";

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
