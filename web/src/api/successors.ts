/** How copies of a tab talk to each other. A BroadcastChannel is one. */
export interface Channel {
  postMessage(message: Message): void;
  onmessage: ((event: MessageEvent<Message>) => void) | null;
}

type Message = { spent: string; next: string } | { wanted: string };

const ANSWER_MS = 150;

/**
 * Knows which refresh token has replaced one that was spent. Duplicating a tab copies its `sessionStorage`, so both tabs
 * have the same token, which works only once. `localStorage` does not need this, since all tabs share it.
 */
export class Successors {
  #next = new Map<string, string>();

  /** Without a channel, each tab knows only what it has spent itself. */
  constructor(
    private readonly channel: Channel | null,
    private readonly answerMs = ANSWER_MS,
  ) {
    if (channel !== null) channel.onmessage = ({ data }) => this.#hear(data);
  }

  /** Tell the other tabs which token has replaced one. */
  announce(spent: string, next: string): void {
    this.#next.set(spent, next);
    this.channel?.postMessage({ spent, next });
  }

  /** The token that is valid now. It is another one than `token` if a copy of this tab has spent that. */
  async latest(token: string): Promise<string> {
    if (this.channel !== null) {
      this.channel.postMessage({ wanted: token });
      await new Promise((resolve) => setTimeout(resolve, this.answerMs));
    }
    return this.#follow(token);
  }

  #follow(token: string): string {
    for (let next: string | undefined; (next = this.#next.get(token)) !== undefined;) token = next;
    return token;
  }

  #hear(message: Message): void {
    if ("spent" in message) {
      this.#next.set(message.spent, message.next);
      return;
    }
    const next = this.#follow(message.wanted);
    if (next !== message.wanted) this.channel?.postMessage({ spent: message.wanted, next });
  }
}
