import { LoginNeeded, Problem } from "./problem";
import type { components } from "./schema";

export type Tokens = components["schemas"]["Tokens"];

const KEY = "video2mp3.session";
// A token that expires on its way is of no use.
const MARGIN_MS = 20_000;

export interface SessionDeps {
  /** Spend a refresh token. */
  refresh(token: string): Promise<Tokens>;
  /** Kept when the browser is closed. */
  lasting: Storage;
  /** Forgotten when the tab is closed. */
  passing: Storage;
  now(): number;
  /** Run one at a time, in all tabs. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
  ended(): void;
}

/**
 * Who is logged in. The access token lives in memory only. The refresh token lies in `localStorage`, or in
 * `sessionStorage` on a device that is not the person's own.
 *
 * A refresh token works once, and its session ends if it is sent twice. So only one request spends it at a time,
 * in this tab and in all others.
 */
export class Session {
  #access: { token: string; expires: number } | null = null;
  #refreshing: Promise<string> | null = null;

  constructor(private readonly deps: SessionDeps) {}

  get exists(): boolean {
    return this.#stored !== null;
  }

  begin(tokens: Tokens, { lasting }: { lasting: boolean }): void {
    this.end();
    this.#keep(tokens, lasting ? this.deps.lasting : this.deps.passing);
  }

  end(): void {
    this.#access = null;
    this.deps.lasting.removeItem(KEY);
    this.deps.passing.removeItem(KEY);
  }

  /** Call when the service has refused the access token, so that the next one is fresh. */
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

  /** The access token, refreshed if need be. Throws LoginNeeded if there is no session any more. */
  async token(): Promise<string> {
    const valid = this.validToken;
    if (valid !== null) return valid;
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  #refresh(): Promise<string> {
    return this.deps.exclusively(async () => {
      // Another tab may have spent the token that was here before, so it is read only now.
      const stored = this.#stored;
      if (stored === null) throw new LoginNeeded();
      try {
        const tokens = await this.deps.refresh(stored.token);
        this.#keep(tokens, stored.storage);
        return tokens.access_token;
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 401) throw error;
        this.end();
        this.deps.ended();
        throw new LoginNeeded();
      }
    });
  }

  get #stored(): { token: string; storage: Storage } | null {
    for (const storage of [this.deps.passing, this.deps.lasting]) {
      const token = storage.getItem(KEY);
      if (token !== null) return { token, storage };
    }
    return null;
  }

  #keep(tokens: Tokens, storage: Storage): void {
    storage.setItem(KEY, tokens.refresh_token);
    this.#access = {
      token: tokens.access_token,
      expires: this.deps.now() + tokens.expires_in * 1000,
    };
  }
}
