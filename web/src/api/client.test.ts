import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { api as apiType } from "./client";
import type { Unreachable as UnreachableType } from "./problem";

let api: typeof apiType;
let Unreachable: typeof UnreachableType;
let signal: AbortController;

beforeEach(async () => {
  const storage = { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  vi.stubGlobal("localStorage", storage);
  vi.stubGlobal("sessionStorage", storage);
  vi.stubGlobal("document", { baseURI: "https://example.com/" });
  signal = new AbortController();
  vi.spyOn(AbortSignal, "timeout").mockImplementation(() => signal.signal);
  vi.resetModules();
  ({ api } = await import("./client"));
  ({ Unreachable } = await import("./problem"));
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const expired = () => new DOMException("", "TimeoutError");

test("a request that nobody answers is given up after 20 seconds", async () => {
  vi.stubGlobal("fetch", (_: string, { signal }: RequestInit) => {
    return new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason)));
  });
  const asking = api.logIn("ann@example.com", "a long sentence");

  signal.abort(expired());

  await expect(asking).rejects.toBeInstanceOf(Unreachable);
  expect(AbortSignal.timeout).toHaveBeenCalledWith(20_000);
});

test("so is one whose answer breaks off", async () => {
  vi.stubGlobal("fetch", async () => ({ ok: true, status: 200, json: () => Promise.reject(expired()) }));

  await expect(api.logIn("ann@example.com", "a long sentence")).rejects.toBeInstanceOf(Unreachable);
});
