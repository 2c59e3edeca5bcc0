import { remember, remembered } from "./options";

/** The options of this person, shared by all parts of the page. */
export const preferences = $state(remembered(localStorage));

export function keepPreferences(): void {
  remember(preferences, localStorage);
}
