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

/** Tokens of a person, whose access token says who they are. */
const tokensOf = (user: string, name = user): Tokens => ({
  ...tokens(name),
  access_token: `e30.${btoa(JSON.stringify({ sub: user }))}.${name}`,
});

/** A promise that a test settles. */
function later<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((done, failed) => ([resolve, reject] = [done, failed]));
  return { promise, resolve, reject };
}

let now: number;
let deps: SessionDeps;

beforeEach(() => {
  now = 0;
  deps = {
    refresh: vi.fn(async (token: string) => tokens(`after-${token}`)),
    lasting: new MemoryStorage(),
    passing: new MemoryStorage(),
    successors: { announce: vi.fn(), latest: async (token) => token },
    now: () => now,
    exclusively: (work) => work(),
    ended: vi.fn(),
    changed: vi.fn(),
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
    expect(deps.passing.getItem("video2mp3.session")).toBe("refresh-1");
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

  test("is not replaced by a late answer to the session before it", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: true });
    now = 1_000_000;
    const answer = later<Tokens>();
    deps.refresh = vi.fn(() => answer.promise);
    const waiting = session.token();

    session.begin(tokens("2"), { lasting: true });
    deps.refresh = vi.fn(async (token: string) => tokens(`after-${token}`));
    answer.resolve(tokens("late"));

    expect(await session.token()).toBe("access-2");
    expect(await waiting).toBe("access-after-refresh-2");
  });

  test("stays ended although an answer comes late, whatever it says", async () => {
    for (const settle of ["resolve", "reject"] as const) {
      const session = new Session(deps);
      session.begin(tokens("1"), { lasting: true });
      now += 1_000_000;
      const answer = later<Tokens>();
      deps.refresh = () => answer.promise;
      const waiting = session.token();

      session.end();
      answer[settle](settle === "resolve" ? tokens("late") : (new Problem(401, "invalid-token", "") as never));

      await expect(waiting).rejects.toBeInstanceOf(LoginNeeded);
      expect(session.exists).toBe(false);
      expect(deps.ended).not.toHaveBeenCalled();
    }
  });

  test("spends the token that a copy of the tab got for the common one", async () => {
    const session = new Session(deps);
    session.begin(tokens("1"), { lasting: false });
    now = 1_000_000;
    deps.successors.latest = async () => "refresh-of-the-copy";

    await session.token();

    expect(vi.mocked(deps.refresh).mock.calls).toEqual([["refresh-of-the-copy"]]);
    expect(deps.successors.announce).toHaveBeenCalledWith("refresh-of-the-copy", "refresh-after-refresh-of-the-copy");
  });
});

describe("a tab", () => {
  function twoTabs() {
    const there = new Session({ ...deps, changed: vi.fn() });
    const session = new Session(deps);
    session.begin(tokensOf("ann"), { lasting: true });
    there.notice();
    return { session, there };
  }

  test("notices that another person has logged in elsewhere, and forgets the access token", async () => {
    const { session, there } = twoTabs();

    there.begin(tokensOf("bob"), { lasting: true });
    session.notice();

    expect(deps.changed).toHaveBeenCalledOnce();
    expect(await session.token()).toBe("access-after-refresh-bob");
  });

  test("notices that the person has logged out elsewhere", async () => {
    const { session, there } = twoTabs();

    there.end();
    session.notice();

    expect(deps.changed).toHaveBeenCalledOnce();
    await expect(session.token()).rejects.toBeInstanceOf(LoginNeeded);
  });

  test("keeps what it shows when the same person logs in again after their session has ended", async () => {
    const { session } = twoTabs();
    now = 1_000_000;
    deps.refresh = () => Promise.reject(new Problem(401, "invalid-token", ""));
    await expect(session.token()).rejects.toBeInstanceOf(LoginNeeded);

    session.begin(tokensOf("ann", "again"), { lasting: true });

    expect(deps.changed).not.toHaveBeenCalled();
  });

  test("does not keep what it shows when another person logs in after a session has ended", async () => {
    const { session } = twoTabs();
    now = 1_000_000;
    deps.refresh = () => Promise.reject(new Problem(401, "invalid-token", ""));
    await expect(session.token()).rejects.toBeInstanceOf(LoginNeeded);

    session.begin(tokensOf("bob"), { lasting: true });

    expect(deps.changed).toHaveBeenCalledOnce();
    expect((await session.token()).endsWith("bob")).toBe(true);
  });

  test("takes what was begun before the first login as that of the person who logs in", () => {
    new Session(deps).begin(tokensOf("ann"), { lasting: true });

    expect(deps.changed).not.toHaveBeenCalled();
  });
});
