/** A message at the edge of the page, with one thing that can be done about it. */
export interface Notice {
  id: number;
  text: string;
  action?: { label: string; run(): void };
}

const SHOWN_MS = 7000;

class Notices {
  items = $state<Notice[]>([]);
  /** What a screen reader says next. */
  spoken = $state("");

  #last = 0;

  /** Show a message for a few seconds. `gone` is called when they are over, unless the action was chosen. */
  show(text: string, action?: { label: string; run(): void }, gone?: () => void): void {
    const id = (this.#last += 1);
    const close = () => (this.items = this.items.filter((notice) => notice.id !== id));
    const timer = setTimeout(() => {
      close();
      gone?.();
    }, SHOWN_MS);
    const chosen = action && {
      label: action.label,
      run: () => {
        clearTimeout(timer);
        close();
        action.run();
      },
    };
    this.items.push(chosen ? { id, text, action: chosen } : { id, text });
  }

  say(text: string): void {
    this.spoken = text;
  }
}

export const notices = new Notices();
