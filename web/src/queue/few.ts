/** Runs at most `limit` tasks at the same time, in the order in which they come. */
export class Few {
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place of this one goes to the next.
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
