import { describe, expect, test } from "vitest";

import { choose, direction } from ".";
import { clock, day, days, exactClock, language, percent, plural, size, span } from "./format";

const plain = (text: string) => text.replaceAll("\u00a0", " ").replaceAll("\u202f", " ");

describe("formats", () => {
  test.each([
    [0, "0 byte"],
    [812, "812 byte"],
    [4_200, "4.2 kB"],
    [31_000_000, "31 MB"],
    [612_400_000, "612 MB"],
    [999_700_000, "1 GB"],
    [20_000_000_000, "20 GB"],
  ])("%d bytes are %s", (bytes, text) => expect(plain(size(bytes))).toBe(text));

  test.each([
    [7.9, "0:07"],
    [187, "3:07"],
    [3727, "1:02:07"],
  ])("%d seconds are at %s", (seconds, text) => expect(clock(seconds)).toBe(text));

  test.each([
    [1, "5 sec"],
    [42, "45 sec"],
    [61, "2 min"],
    [5400, "1.5 hr"],
  ])("%d seconds take %s", (seconds, text) => expect(plain(span(seconds))).toBe(text));

  test("nothing is at 100 % before it is done", () => {
    expect(percent(0.999)).toBe("99%");
    expect(percent(1)).toBe("100%");
  });

  test("days are counted by the calendar", () => {
    const now = new Date(2026, 10, 30, 23, 0).getTime();
    expect(day(new Date(2026, 11, 1, 1, 0), now)).toBe("tomorrow");
    expect(day(new Date(2026, 11, 7, 1, 0), now)).toBe("in 7 days");
  });

  test("languages have names, and codes without meaning have none", () => {
    expect(language("deu")).toBe("German");
    expect(language("und")).toBeNull();
    expect(language("?!")).toBeNull();
  });

  test("one is not many", () => {
    expect(plural(1, { one: "# file", other: "# files" })).toBe("1 file");
    expect(plural(1200, { one: "# file", other: "# files" })).toBe("1,200 files");
  });
});

describe("the language", () => {
  test("is the first of the person's that there are texts in", () => {
    expect(choose(["fr-CH", "de-CH", "en"])).toEqual({
      language: "de",
      locale: "de-CH",
    });
  });

  test("is English for everybody else", () => {
    expect(choose(["ar"]).language).toBe("en");
  });
});

test("a position can be told to the tenth of a second", () => {
  expect([0, 7.94, 187.5, 3599.99].map(exactClock)).toEqual(["0:00.0", "0:07.9", "3:07.5", "1:00:00.0"]);
});

test("the life of a link is told in days", () => {
  expect([86_400, 3 * 86_400].map(days)).toEqual(["1 day", "3 days"]);
});

test("some languages are written from right to left", () => {
  expect(["ar", "he", "en", "de"].map(direction)).toEqual(["rtl", "rtl", "ltr", "ltr"]);
});
