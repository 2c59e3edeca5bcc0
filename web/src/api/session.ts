import { LoginNeeded, Problem } from "./problem";
import type { components } from "./schema";
import type { Successors } from "./successors";

export type Tokens = components["schemas"]["Tokens"];

const KEY = "video2mp3.session";
const USER = "video2mp3.user";
// A token that expires on its way is of no use.
const MARGIN_MS = 20_000;

export interface SessionDeps {
  /** Spend a refresh token. */
  refresh(token: string): Promise<Tokens>;
  /** Kept when the browser is closed. */
  lasting: Storage;
  /** Forgotten when the tab is closed. */
  passing: Storage;
  /** What a copy of this tab has made of the token that both have. */
  successors: Pick<Successors, "announce" | "latest">;
  now(): number;
  /** Run one at a time, in all tabs. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  ended(): void;
  /** Another person is logged in now, or nobody, since the person has logged out. */
  changed(): void;
}

interface Stored {
  token: string;
  storage: Storage;
}

/**
 * Who is logged in. The access token is kept in memory only. The refresh token is in `localStorage`, or in
 * `sessionStorage` on a device that is not the person's own.
 *
 * A refresh token works once, and its session ends if it is sent twice. So only one request spends it at a time,
 * in this tab and in all others.
 */
export class Session {
  #access: { token: string; user: string | null; expires: number } | null = null;
  #refreshing: Promise<string> | null = null;
  /** Whose things this tab shows. */
  #shown: string | null;

  constructor(private readonly deps: SessionDeps) {
    this.#shown = this.user;
  }

  get exists(): boolean {
    return this.#stored !== null;
  }

  /** Whether nothing may be left behind when the tab is closed. */
  get isPassing(): boolean {
    return this.deps.passing.getItem(KEY) !== null || this.deps.passing.getItem(USER) !== null;
  }

  /** The id of the person who is logged in, or whose session has ended; null after a logout. */
  get user(): string | null {
    return this.deps.passing.getItem(USER) ?? this.deps.lasting.getItem(USER);
  }

  begin(tokens: Tokens, { lasting }: { lasting: boolean }): void {
    this.#forget(KEY, USER);
    this.#keep(tokens, lasting ? this.deps.lasting : this.deps.passing);
    this.notice();
  }

  /** Log out. */
  end(): void {
    this.#forget(KEY, USER);
    this.notice();
  }

  /** Look who is logged in, since another tab may have changed it. */
  notice(): void {
    const { user } = this;
    if (!this.exists) this.#access = null;
    if (user === this.#shown) return;
    const before = this.#shown;
    this.#shown = user;
    // Before the first login, things belong to the person who logs in.
    if (before === null) return;
    if (this.#access?.user !== user) this.#access = null;
    this.deps.changed();
  }

  /** Call this when the service has refused the access token, so that the next one is fresh. */
  distrust(token: string): void {
    if (this.#access?.token === token) this.#access = null;
  }

  /** The access token if it is still valid; null if it has to be refreshed, which a page that is closing must not begin. */
  get validToken(): string | null {
    return this.#access !== null && this.#access.expires - MARGIN_MS > this.deps.now() ? this.#access.token : null;
  }

  /** Where this session is kept, for what has to end with it; null if there is none. */
  get storage(): Storage | null {
    return this.#stored?.storage ?? null;
  }

  /** The access token, refreshed if need be. Throws LoginNeeded if there is no longer a session. */
  async token(): Promise<string> {
    const valid = this.validToken;
    if (valid !== null) return valid;
    if (this.#refreshing === null) {
      const refreshing = this.#refresh().finally(() => {
        if (this.#refreshing === refreshing) this.#refreshing = null;
      });
      this.#refreshing = refreshing;
    }
    return this.#refreshing;
  }

  async #refresh(): Promise<string> {
    const fresh = await this.deps.exclusively(() => this.#spend());
    // Meanwhile, another session has begun, or this one was ended.
    return fresh ?? (await this.#refresh());
  }

  /** Spend the refresh token. Returns null if it is no longer the one of this session when the answer comes. */
  async #spend(): Promise<string | null> {
    // Another tab may have spent the token that was here before, so it is read only now.
    const stored = this.#stored;
    if (stored === null) throw new LoginNeeded();
    const isPassing = stored.storage === this.deps.passing;
    const token = isPassing ? await this.deps.successors.latest(stored.token) : stored.token;
    if (!this.#isStill(stored)) return null;
    try {
      const tokens = await this.deps.refresh(token);
      if (isPassing) this.deps.successors.announce(token, tokens.refresh_token);
      if (!this.#isStill(stored)) return null;
      this.#keep(tokens, stored.storage);
      this.notice();
      return tokens.access_token;
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error;
      if (!this.#isStill(stored)) return null;
      // Who it was stays known: their uploads go on if they log in again.
      this.#forget(KEY);
      this.deps.ended();
      throw new LoginNeeded();
    }
  }

  get #stored(): Stored | null {
    for (const storage of [this.deps.passing, this.deps.lasting]) {
      const token = storage.getItem(KEY);
      if (token !== null) return { token, storage };
    }
    return null;
  }

  #isStill({ token, storage }: Stored): boolean {
    const now = this.#stored;
    return now?.token === token && now.storage === storage;
  }

  #keep(tokens: Tokens, storage: Storage): void {
    const user = userOf(tokens.access_token);
    // First, so that a tab that hears of the new token finds it.
    if (user !== null) storage.setItem(USER, user);
    storage.setItem(KEY, tokens.refresh_token);
    this.#access = {
      token: tokens.access_token,
      user,
      expires: this.deps.now() + tokens.expires_in * 1000,
    };
  }

  #forget(...keys: string[]): void {
    this.#access = null;
    this.#refreshing = null;
    for (const storage of [this.deps.lasting, this.deps.passing]) for (const key of keys) storage.removeItem(key);
  }
}

/** The subject of an access token, which the service has signed for itself; here it is a name and proves nothing. */
function userOf(token: string): string | null {
  try {
    const claims = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    return String(JSON.parse(atob(claims)).sub);
  } catch {
    return null;
  }
}
