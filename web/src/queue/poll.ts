import { LEAST_POLL_MS, nextPoll } from "./backoff";

/** Asks again and again, with one question at a time, and at least a second between two of them. */
export class Poll {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waitMs = 0;
  #lastMs = -Infinity;
  #asking = false;
  #isUrgent = false;

  /** `ask` resolves to whether anything has moved, or to null if there is nothing left to ask for. */
  constructor(private readonly ask: () => Promise<boolean | null>) {}

  /** Ask soon, because something may have changed. */
  wake(): void {
    if (this.#asking) this.#isUrgent = true;
    else this.#schedule(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#isUrgent = false;
  }

  #schedule(ms: number): void {
    clearTimeout(this.#timer);
    this.#waitMs = ms;
    const rest = this.#lastMs + LEAST_POLL_MS - Date.now();
    this.#timer = setTimeout(() => void this.#run(), Math.max(ms, rest));
  }

  async #run(): Promise<void> {
    this.#asking = true;
    this.#isUrgent = false;
    this.#lastMs = Date.now();
    const moved = await this.ask().finally(() => (this.#asking = false));
    if (this.#isUrgent) this.#schedule(0);
    else if (moved !== null) this.#schedule(nextPoll(this.#waitMs, { moved, hidden: document.hidden }));
  }
}
