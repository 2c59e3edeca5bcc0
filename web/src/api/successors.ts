/** What copies of a tab say to each other: by a BroadcastChannel, or by something like it. */
export interface Channel {
  postMessage(message: Message): void;
  onmessage: ((event: MessageEvent<Message>) => void) | null;
}

type Message = { spent: string; next: string } | { wanted: string };

const ANSWER_MS = 150;

/**
 * Which refresh token has taken the place of one that was spent. A tab that is duplicated copies its `sessionStorage`, so
 * both have the same token, which works once. `localStorage` needs none of this, since all tabs read the same.
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

  /** Tell the other tabs what has come for a token. */
  announce(spent: string, next: string): void {
    this.#next.set(spent, next);
    this.channel?.postMessage({ spent, next });
  }

  /** The token that is valid now, if `token` or one that came for it was spent by another tab. */
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
