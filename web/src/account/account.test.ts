import { afterEach, beforeEach, expect, test, vi } from "vitest";

const world = vi.hoisted(() => ({
  events: new EventTarget(),
  exists: true,
  isOther: false,
  order: [] as string[],
}));

vi.mock("../api/client", () => ({
  api: { logOut: async () => void world.order.push("log out"), me: async () => ({ email: "ann@example.com" }) },
  sessionEvents: world.events,
  session: {
    get exists() {
      return world.exists;
    },
    notice() {
      if (world.isOther) world.events.dispatchEvent(new Event("change"));
    },
    end() {
      world.exists = false;
    },
  },
}));

let storageChanged: () => void;
let account: typeof import("./account.svelte").account;
const clear = vi.fn(() => void world.order.push("clear"));

beforeEach(async () => {
  Object.assign(world, { events: new EventTarget(), exists: true, isOther: false, order: [] });
  clear.mockClear();
  vi.stubGlobal("addEventListener", (_: string, listener: () => void) => (storageChanged = listener));
  vi.resetModules();
  ({ account } = await import("./account.svelte"));
  account.onChange(clear);
});

afterEach(() => vi.unstubAllGlobals());

test("another person in another tab leaves nothing of the one before", () => {
  world.isOther = true;

  storageChanged();

  expect(clear).toHaveBeenCalledOnce();
  expect([account.loggedIn, account.changes]).toEqual([true, 1]);
});

test("a session that has ended in another tab clears nothing, since the uploads go on after a login", () => {
  world.exists = false;

  storageChanged();

  expect(clear).not.toHaveBeenCalled();
  expect(account.loggedIn).toBe(false);
});

test("a login in another tab answers the form in this one", async () => {
  world.exists = false;
  const asked = account.require("start");
  world.exists = true;

  storageChanged();

  expect(await asked).toBe(true);
  expect(account.asking).toBeNull();
});

test("a logout stops the uploads first, so that none of them asks for a login", async () => {
  await account.logOut();

  expect(world.order).toEqual(["clear", "log out"]);
  expect(account.loggedIn).toBe(false);
});
