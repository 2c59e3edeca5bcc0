import { tick } from "svelte";

/**
 * If what had the focus is gone, give it to the first of these elements that exists. Otherwise the keyboard would begin
 * at the top of the page again, and a screen reader would fall silent.
 */
export async function rescueFocus(...ids: readonly string[]): Promise<void> {
  await tick();
  if (document.activeElement !== null && document.activeElement !== document.body) return;
  for (const id of ids) {
    const element = document.getElementById(id);
    if (element === null) continue;
    element.focus();
    return;
  }
}

/**
 * Take a row out of its list, and give the focus to the one that takes its place, or to one of these elements. In each
 * row, `data-focus` marks what can have it.
 */
export async function leaveRow(within: Element, remove: () => void, ...ids: readonly string[]): Promise<void> {
  const row = within.closest("li");
  const next = row?.nextElementSibling ?? row?.previousElementSibling;
  remove();
  await tick();
  const target = next?.isConnected ? next.querySelector<HTMLElement>("[data-focus]") : null;
  if (target) target.focus();
  else await rescueFocus(...ids);
}
