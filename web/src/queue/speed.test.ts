import { expect, test } from "vitest";

import { Speed } from "./speed";

test("a speed is that of the last seconds", () => {
  const speed = new Speed();
  for (let second = 0; second <= 10; second += 1) speed.note(second * 100, second * 1000);
  for (let second = 11; second <= 20; second += 1) speed.note(1000 + (second - 10) * 900, second * 1000);

  expect(speed.value).toBe(900);
});

test("nothing is claimed before there is enough to tell", () => {
  const speed = new Speed();
  speed.note(0, 0);
  speed.note(100, 100);

  expect(speed.value).toBeNull();
});

test("an upload that goes on further back starts a new measurement", () => {
  const speed = new Speed();
  speed.note(1000, 0);
  speed.note(500, 1000);

  expect(speed.value).toBeNull();
});
