import { t } from "../lang";
import { language } from "../lang/format";
import type { Track } from "../sound";

/** What tells a soundtrack from the others: "German, Commentary (stereo)". */
export function trackLabel({ number, name, channels, language: code }: Track): string {
  const sound = channels === 1 ? t.options.mono : channels === 2 ? t.options.stereo : t.options.surround(channels);
  const title = [language(code), name].filter(Boolean).join(", ") || t.options.trackName(number);
  return `${title} (${sound})`;
}

/** What is chosen of the soundtracks, in words; null if that is left to the service. */
export function choiceLabel(tracks: readonly Track[], choice: string): string | null {
  if (choice === "mix") return t.options.mixTracks;
  const chosen = tracks.find(({ number }) => String(number) === choice);
  return chosen ? trackLabel(chosen) : null;
}
