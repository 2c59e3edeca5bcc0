import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Poll } from "./poll";

let asked: number[];

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  vi.stubGlobal("document", { hidden: false });
  asked = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** What is asked for takes `ms` to be answered. */
const poll = (ms: number, answer: boolean | null) =>
  new Poll(async () => {
    asked.push(Date.now());
    await new Promise((resolve) => setTimeout(resolve, ms));
    return answer;
  });

test("it is asked at once, and then a second after the last answer", async () => {
  const asking = poll(10, true);

  asking.wake();
  await vi.advanceTimersByTimeAsync(2500);

  expect(asked).toEqual([0, 1010, 2020]);
});

test("however often something may have changed, it is asked once a second", async () => {
  const asking = poll(10, false);

  for (let i = 0; i < 25; i += 1) {
    asking.wake();
    await vi.advanceTimersByTimeAsync(100);
  }

  expect(asked).toEqual([0, 1000, 2000]);
});

test("one question is out at a time, and one that was due meanwhile follows", async () => {
  const asking = poll(3000, null);
  asking.wake();
  await vi.advanceTimersByTimeAsync(2000);

  asking.wake();
  await vi.advanceTimersByTimeAsync(10_000);

  expect(asked).toHaveLength(2);
  expect(asked[1]).toBeGreaterThanOrEqual(3000);
});

test("when there is nothing left to ask for, it ends", async () => {
  poll(10, null).wake();
  await vi.advanceTimersByTimeAsync(60_000);

  expect(asked).toEqual([0]);
});
