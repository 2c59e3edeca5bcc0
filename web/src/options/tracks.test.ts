import { expect, test } from "vitest";

import { choiceLabel, trackLabel } from "./tracks";

const track = (number: number, language: string | null, name: string | null, channels = 2) => ({
  number,
  language,
  name,
  channels,
});

test("a soundtrack is told by its language and name, or by its number", () => {
  expect(trackLabel(track(1, "deu", "Commentary"))).toBe("German, Commentary (stereo)");
  expect(trackLabel(track(2, null, null, 6))).toBe("Track 2 (6 channels)");
});

test("a choice has words only if something was chosen", () => {
  const tracks = [track(1, "eng", null), track(2, "deu", null, 1)];

  expect(choiceLabel(tracks, "2")).toBe("German (mono)");
  expect(choiceLabel(tracks, "mix")).toBe("All of them, mixed");
  expect(choiceLabel(tracks, "")).toBeNull();
});
