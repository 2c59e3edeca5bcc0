/**
 * Which uploads are alive in this tab, so that no other tab goes on with them, cancels them or remembers them. A claim is
 * a Web Lock, which ends with its tab. They exist on secure origins only; elsewhere a tab claims what it finds.
 */
export class Claims {
  #releases = new Map<string, () => void>();

  constructor(private readonly locks: Pick<LockManager, "request"> | undefined) {}

  has(key: string): boolean {
    return this.#releases.has(key);
  }

  /** Claim an upload that was just made here, which no other tab can know. */
  own(key: string): void {
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    this.#releases.set(key, release);
    void this.locks?.request(nameOf(key), () => released).catch(() => {});
  }

  /**
   * Claim an upload unless another tab has it, and return whether that worked. Right after a reload, the old page may hold
   * its claim for another moment, so this keeps trying for `patienceMs`.
   */
  async take(key: string, patienceMs: number): Promise<boolean> {
    if (this.has(key)) return true;
    if (this.locks === undefined) {
      this.own(key);
      return true;
    }
    for (let waited = 0; ; waited += STEP_MS) {
      if (await this.#try(key, this.locks)) return true;
      if (waited >= patienceMs) return false;
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
  }

  release(key: string): void {
    this.#releases.get(key)?.();
    this.#releases.delete(key);
  }

  #try(key: string, locks: Pick<LockManager, "request">): Promise<boolean> {
    return new Promise((tell) => {
      const holding = locks.request(nameOf(key), { ifAvailable: true }, (lock) => {
        tell(lock !== null);
        if (lock === null) return undefined;
        return new Promise<void>((release) => this.#releases.set(key, release));
      });
      void holding.catch(() => tell(false));
    });
  }
}

const STEP_MS = 100;

const nameOf = (key: string): string => `video2mp3.upload.${key}`;
