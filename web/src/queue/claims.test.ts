import { expect, test } from "vitest";

import { Claims } from "./claims";

/** The locks of a browser, which all tabs share. */
function browser(): Pick<LockManager, "request"> {
  const held = new Map<string, Promise<unknown>>();
  const request = async (name: string, ...rest: unknown[]) => {
    const work = rest.at(-1) as (lock: unknown) => unknown;
    const { ifAvailable = false } = rest.length > 1 ? (rest[0] as LockOptions) : {};
    if (ifAvailable && held.has(name)) return work(null);
    while (held.has(name)) await held.get(name);
    const holding = Promise.resolve(work({ name })).finally(() => held.delete(name));
    held.set(name, holding);
    return holding;
  };
  return { request: request as LockManager["request"] };
}

test("an upload is alive in one tab only", async () => {
  const locks = browser();
  const [here, there] = [new Claims(locks), new Claims(locks)];
  here.own("a");

  expect(await there.take("a", 0)).toBe(false);
  expect(here.has("a")).toBe(true);
  expect(there.has("a")).toBe(false);
});

test("an upload can be claimed once it was released", async () => {
  const locks = browser();
  const [here, there] = [new Claims(locks), new Claims(locks)];
  expect(await here.take("a", 0)).toBe(true);
  here.release("a");

  expect(await there.take("a", 300)).toBe(true);
  expect(here.has("a")).toBe(false);
});

test("a page that was reloaded waits for the one that was left", async () => {
  const locks = browser();
  const before = new Claims(locks);
  before.own("a");
  setTimeout(() => before.release("a"), 50);

  expect(await new Claims(locks).take("a", 1000)).toBe(true);
});

test("without locks, a tab claims what it finds", async () => {
  expect(await new Claims(undefined).take("a", 0)).toBe(true);
});
