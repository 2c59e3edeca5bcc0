import { locale } from ".";

const unit = (name: string, digits: number, display: "short" | "long" | "narrow" = "short") =>
  new Intl.NumberFormat(locale, {
    style: "unit",
    unit: name,
    unitDisplay: display,
    maximumFractionDigits: digits,
  });

/** A size as file managers show it, in powers of 1,000: "31 MB". */
export function size(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let power = 0;
  let value = bytes;
  // 999.95 would be shown as 1,000.
  while (power < units.length - 1 && value >= 999.5) {
    value /= 1000;
    power += 1;
  }
  return unit(units[power]!, power > 0 && value < 9.95 ? 1 : 0).format(value);
}

export const speed = (bytesPerSecond: number): string => `${size(bytesPerSecond)}/s`;

/** A position in a recording: "3:07", "1:02:07". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (value: number) => String(value).padStart(2, "0");
  return hours > 0 ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

/** A position to the tenth of a second: "3:07.5". */
export function exactClock(seconds: number): string {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const rest = new Intl.NumberFormat(locale, { minimumFractionDigits: 1 }).format((tenths % 10) / 10);
  // Its first digit is the 0 that the clock has already.
  return clock(Math.floor(tenths / 10)) + rest.slice(1);
}

/** How many days there are in a number of seconds: "3 days". */
export const days = (seconds: number): string => unit("day", 0, "long").format(seconds / 86_400);

/** A span of time in its largest unit, rounded up: "40 sec", "3 min", "2 hr". */
export function span(seconds: number): string {
  if (seconds < 55) return unit("second", 0).format(Math.max(5, Math.ceil(seconds / 5) * 5));
  if (seconds < 3300) return unit("minute", 0).format(Math.ceil(seconds / 60));
  return unit("hour", 1).format(seconds / 3600);
}

export const percent = (share: number): string =>
  // Nothing is shown as 100 % before it is done.
  new Intl.NumberFormat(locale, { style: "percent" }).format(share < 1 ? Math.min(share, 0.99) : 1);

/** A day as seen from now: "in 7 days", "yesterday". */
export function day(date: string | Date, now = Date.now()): string {
  const time = new Date(date).getTime();
  const midnight = (at: number) => new Date(at).setHours(0, 0, 0, 0);
  const days = Math.round((midnight(time) - midnight(now)) / 86_400_000);
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(days, "day");
}

export const moment = (date: string | Date): string =>
  new Intl.DateTimeFormat(locale, {
    dateStyle: "medium",
    timeStyle: "short",
  }).format(new Date(date));

export const list = (items: readonly string[]): string => new Intl.ListFormat(locale).format(items);

/** The name of a language from its code of two or three letters in a file; null if the code means nothing. */
export function language(code: string | null): string | null {
  if (code === null || code === "und" || code === "") return null;
  try {
    const name = new Intl.DisplayNames(locale, {
      type: "language",
      fallback: "none",
    }).of(code);
    return name ?? null;
  } catch {
    return null;
  }
}

/** Choose the text for a number: `plural(2, { one: "# file", other: "# files" })`. */
export function plural(count: number, texts: { one: string; other: string }): string {
  const form = new Intl.PluralRules(locale).select(count) === "one" ? texts.one : texts.other;
  return form.replace("#", new Intl.NumberFormat(locale).format(count));
}
