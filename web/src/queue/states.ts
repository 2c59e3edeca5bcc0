/** Where a file is on its way from the disk to an MP3. */
export type State =
  | "ready" // dropped; its options can be chosen
  | "waiting" // will be sent when its turn comes
  | "sending"
  | "offline" // would be sent, but the service cannot be reached
  | "paused" // by the person, or because the page was closed
  | "queued" // from here on, it is up to the service
  | "converting"
  | "completed"
  | "failed"
  | "cancelled";

/** What can happen to it. */
export type Move =
  "start" | "retry" | "send" | "pause" | "disconnect" | "accept" | "queue" | "convert" | "complete" | "fail" | "cancel";

const MOVES: Record<State, Partial<Record<Move, State>>> = {
  ready: { start: "waiting" },
  waiting: {
    send: "sending",
    pause: "paused",
    fail: "failed",
    cancel: "cancelled",
  },
  sending: {
    pause: "paused",
    disconnect: "offline",
    accept: "queued",
    fail: "failed",
    cancel: "cancelled",
  },
  offline: {
    send: "sending",
    pause: "paused",
    accept: "queued",
    fail: "failed",
    cancel: "cancelled",
  },
  paused: { start: "waiting", cancel: "cancelled" },
  queued: {
    convert: "converting",
    complete: "completed",
    fail: "failed",
    cancel: "cancelled",
  },
  converting: {
    queue: "queued",
    complete: "completed",
    fail: "failed",
    cancel: "cancelled",
  },
  completed: {},
  failed: { retry: "waiting", queue: "queued" },
  cancelled: { retry: "waiting" },
};

/** The state after a move; null if the move makes no sense in this state, so that a late event does no harm. */
export function after(state: State, move: Move): State | null {
  return MOVES[state][move] ?? null;
}

export const isSending = (state: State): boolean => state === "sending" || state === "offline";
export const isAtService = (state: State): boolean => state === "queued" || state === "converting";
export const isOver = (state: State): boolean => ["completed", "failed", "cancelled"].includes(state);
/** Whether closing the page would interrupt it. */
export const needsPage = (state: State): boolean => state === "waiting" || isSending(state);

export const UPLOADS_AT_ONCE = 2;

/** The items that should start uploading now, in order. */
export function next<T extends { state: State }>(items: readonly T[]): T[] {
  const free = UPLOADS_AT_ONCE - items.filter((item) => isSending(item.state)).length;
  return items.filter((item) => item.state === "waiting").slice(0, Math.max(0, free));
}
