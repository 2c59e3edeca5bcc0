/** A message at the edge of the page, with one thing that can be done about it. */
export interface Notice {
  id: number;
  text: string;
  action?: { label: string; run(): void };
  /** Keep it while the person is at it. Each call needs one of `release`. */
  hold(): void;
  /** Give the person all of the time again. */
  release(): void;
  /** Close it now, as if its time were over. */
  dismiss(): void;
}

const SHOWN_MS = 7000;
// A screen reader leaves out what is replaced before it gets to it.
const SPOKEN_MS = 1500;

export class Notices {
  items = $state<Notice[]>([]);
  /** What a screen reader says next. */
  spoken = $state("");

  #last = 0;
  #toSay: string[] = [];
  #saying: ReturnType<typeof setTimeout> | undefined;

  /** Show a message for a few seconds. `gone` is called when they are over, unless the action was chosen. */
  show(text: string, action?: { label: string; run(): void }, gone?: () => void): void {
    const id = (this.#last += 1);
    let timer: ReturnType<typeof setTimeout>;
    let holds = 0;
    const close = (then?: () => void) => {
      clearTimeout(timer);
      if (!this.items.some((notice) => notice.id === id)) return;
      this.items = this.items.filter((notice) => notice.id !== id);
      then?.();
    };
    const dismiss = () => close(gone);
    const start = () => (timer = setTimeout(dismiss, SHOWN_MS));
    this.items.push({
      id,
      text,
      ...(action && { action: { label: action.label, run: () => close(action.run) } }),
      hold() {
        holds += 1;
        clearTimeout(timer);
      },
      release() {
        holds = Math.max(0, holds - 1);
        clearTimeout(timer);
        if (holds === 0) start();
      },
      dismiss,
    });
    start();
  }

  /** Close the newest message. Returns whether there was one. */
  dismissLast(): boolean {
    const notice = this.items.at(-1);
    notice?.dismiss();
    return notice !== undefined;
  }

  /** Let a screen reader say a text, after those that it has to say before. */
  say(text: string): void {
    if (this.#toSay.at(-1) === text) return;
    this.#toSay.push(text);
    if (this.#saying === undefined) this.#sayNext();
  }

  #sayNext(): void {
    const text = this.#toSay.shift();
    // An empty region makes the same sentence news again.
    this.spoken = text ?? "";
    this.#saying = text === undefined ? undefined : setTimeout(() => this.#sayNext(), SPOKEN_MS);
  }
}

export const notices = new Notices();
