import { beforeEach, describe, expect, test, vi } from "vitest";

import { LoginNeeded, Problem, Unreachable } from "./problem";
import { Session, type SessionDeps, type Tokens } from "./session";

class MemoryStorage implements Storage {
  [name: string]: unknown;
  #items = new Map<string, string>();
  get length() {
    return this.#items.size;
  }
  clear = () => this.#items.clear();
  getItem = (key: string) => this.#items.get(key) ?? null;
  key = (index: number) => [...this.#items.keys()][index] ?? null;
  removeItem = (key: string) => void this.#items.delete(key);
  setItem = (key: string, value: string) => void this.#items.set(key, value);
}

const tokens = (name: string): Tokens => ({
  access_token: `access-${name}`,
  refresh_token: `refresh-${name}`,
  token_type: "Bearer",
  expires_in: 900,
  refresh_expires_in: 2_592_000,
});

let now: number;
let deps: SessionDeps;

beforeEach(() => {
  now = 0;
  deps = {
    refresh: vi.fn(async (token: string) => tokens(`after-${token}`)),
    lasting: new MemoryStorage(),
    passing: new MemoryStorage(),
    now: () => now,
    exclusively: (work) => work(),
    ended: vi.fn(),
  };
});

describe("a session", () => {
  test("uses its access token until shortly before it expires", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });

    expect(await session.token()).toBe("access-1");
    now = 890_000;
    expect(await session.token()).toBe("access-after-refresh-1");
  });

  test("spends a refresh token once, however many ask at the same time", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });
    now = 1_000_000;

    const all = await Promise.all([session.token(), session.token(), session.token()]);

    expect(new Set(all)).toEqual(new Set(["access-after-refresh-1"]));
    expect(deps.refresh).toHaveBeenCalledTimes(1);
  });

  test("takes the refresh token that another tab has left", async () => {
    const here = new Session(deps);
    const there = new Session(deps);
    here.begin(tokens("1"), { lasting: true });
    now = 1_000_000;

    await there.token();
    await here.token();

    expect(vi.mocked(deps.refresh).mock.calls).toEqual([["refresh-1"], ["refresh-after-refresh-1"]]);
  });

  test("leaves nothing behind on a device that is not the person's own", () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: false });

    expect(deps.lasting.length).toBe(0);
    expect(deps.passing.length).toBe(1);
  });

  test("ends when the service refuses the refresh token", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });
    now = 1_000_000;
    deps.refresh = () => Promise.reject(new Problem(401, "invalid-token", ""));

    await expect(session.token()).rejects.toBeInstanceOf(LoginNeeded);
    expect(session.exists).toBe(false);
    expect(deps.ended).toHaveBeenCalledOnce();
  });

  test("outlives a service that cannot be reached", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });
    now = 1_000_000;
    deps.refresh = () => Promise.reject(new Unreachable());

    await expect(session.token()).rejects.toBeInstanceOf(Unreachable);
    expect(session.exists).toBe(true);
  });

  test("asks for a fresh token after the service has refused one", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });

    session.distrust("access-1");

    expect(await session.token()).toBe("access-after-refresh-1");
  });

  test("says without any request whether its access token is still valid", () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });
    expect(session.validToken).toBe("access-1");

    now = 890_000;

    expect(session.validToken).toBeNull();
    expect(deps.refresh).not.toHaveBeenCalled();
  });
});
