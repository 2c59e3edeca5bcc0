import { expect, test } from "vitest";

import { nextPoll, nextTry } from "./backoff";

test("conversions that move are asked for every second", () => {
  expect(nextPoll(7000, { moved: true, hidden: false })).toBe(1000);
});

test("conversions that stand still are asked for less and less, down to every ten seconds", () => {
  const waits = [1000];
  for (let i = 0; i < 8; i += 1) waits.push(nextPoll(waits.at(-1)!, { moved: false, hidden: false }));

  expect(waits.slice(0, 4)).toEqual([1000, 1500, 2250, 3375]);
  expect(waits.at(-1)).toBe(10_000);
});

test("a hidden tab asks every ten seconds at most", () => {
  expect(nextPoll(1000, { moved: true, hidden: true })).toBe(10_000);
});

test("a service that cannot be reached is tried at once and then more rarely", () => {
  expect([0, 1, 2, 3, 4, 5, 9].map(nextTry)).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
});
