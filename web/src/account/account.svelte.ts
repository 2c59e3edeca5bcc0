import { api, session, sessionEvents, type User } from "../api/client";
import { Problem } from "../api/problem";

/** Why the form is shown: to start an upload, because a session has ended, or because the person asked for it. */
export type Reason = "start" | "ended" | "asked";

class Account {
  user = $state<User | null>(null);
  loggedIn = $state(session.exists);
  /** Counts how often somebody else has logged in, or the person out. */
  changes = $state(0);
  /** Why the form is open; null while it is closed. */
  asking = $state<Reason | null>(null);

  #clearing: (() => void)[] = [];
  #waiting: ((loggedIn: boolean) => void)[] = [];

  constructor() {
    sessionEvents.addEventListener("end", () => this.#ended());
    sessionEvents.addEventListener("change", () => this.#changed());
    // Another tab has logged in or out.
    addEventListener("storage", () => this.#notice());
  }

  /** Call `clear` when what belongs to the person has to go, since they have logged out, or are somebody else. */
  onChange(clear: () => void): void {
    this.#clearing.push(clear);
  }

  /** Resolves to whether the person is logged in, after asking if need be. */
  async require(reason: Reason): Promise<boolean> {
    if (session.exists) return true;
    this.asking = reason;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Close the form, with or without a session. */
  answer(loggedIn: boolean): void {
    this.asking = null;
    for (const resolve of this.#waiting.splice(0)) resolve(loggedIn);
  }

  /** Create an account. For somebody who already has one and enters its password, this is a login. */
  async register(email: string, password: string, lasting: boolean): Promise<void> {
    try {
      await api.register(email, password);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "email-taken") throw error;
      await this.logIn(email, password, lasting).catch(() => Promise.reject(error));
      return;
    }
    await this.logIn(email, password, lasting);
  }

  async logIn(email: string, password: string, lasting: boolean): Promise<void> {
    session.begin(await api.logIn(email, password), { lasting });
    this.loggedIn = true;
    this.answer(true);
    void this.refresh();
  }

  async logOut(): Promise<void> {
    // First, so that no upload asks for a login in the meantime.
    this.#clear();
    await api.logOut().catch(() => {});
    session.end();
    this.#notice();
  }

  async refresh(): Promise<void> {
    if (!session.exists) return;
    this.user = await api.me().catch(() => null);
  }

  #notice(): void {
    session.notice();
    this.loggedIn = session.exists;
    if (!this.loggedIn) this.user = null;
    else if (this.asking !== null) this.answer(true);
    if (this.loggedIn && this.user === null) void this.refresh();
  }

  #changed(): void {
    this.user = null;
    this.changes += 1;
    this.#clear();
  }

  #clear(): void {
    for (const clear of this.#clearing) clear();
  }

  #ended(): void {
    this.loggedIn = false;
    this.user = null;
  }
}

export const account = new Account();
