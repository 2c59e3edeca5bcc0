import { en, type Texts } from "./en";

export type { Texts };

/** The texts in the person's language. Set once, before anything is shown. */
export let t: Texts = en;
export let locale = "en";

const LANGUAGES: Record<string, () => Promise<Texts>> = {
  en: async () => en,
  de: async () => (await import("./de")).de,
};

/** The first of the person's languages in which there are texts; otherwise English. */
export function choose(wanted: readonly string[]): {
  language: string;
  locale: string;
} {
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0]!;
    if (language in LANGUAGES) return { language, locale: tag };
  }
  return { language: "en", locale: "en" };
}

const FROM_RIGHT_TO_LEFT = new Set(["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"]);

/** From which side a language is written. `Intl.Locale.getTextInfo` is not yet in all browsers. */
export const direction = (language: string): "ltr" | "rtl" => (FROM_RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr");

export async function speak(wanted: readonly string[] = navigator.languages): Promise<void> {
  const chosen = choose(wanted);
  try {
    t = await LANGUAGES[chosen.language]!();
    locale = chosen.locale;
  } catch {
    // The language file did not arrive. English is better than nothing.
  }
  const language = locale.split("-")[0]!.toLowerCase();
  document.documentElement.lang = language;
  document.documentElement.dir = direction(language);
}
