/** The service is never asked more often. */
export const LEAST_POLL_MS = 1000;
const LATE_MS = 10_000;

/** How long to wait before asking for conversions again: a second, and longer each time nothing has changed. */
export function nextPoll(previousMs: number, { moved, hidden }: { moved: boolean; hidden: boolean }): number {
  if (hidden) return LATE_MS;
  return moved ? LEAST_POLL_MS : Math.min(LATE_MS, Math.max(LEAST_POLL_MS, previousMs * 1.5));
}

/** How long to wait before trying to reach the service again, after a number of failed attempts. */
export function nextTry(attempts: number): number {
  return Math.min(LATE_MS, 500 * 2 ** attempts);
}
