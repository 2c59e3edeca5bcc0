import { expect, test } from "vitest";

import { Few } from "./few";

test("only a few run at a time, in their order, even after one has failed", async () => {
  const few = new Few(2);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const work = (index: number) => async () => {
    begun.push(index);
    most = Math.max(most, (running += 1));
    await Promise.resolve();
    running -= 1;
    if (index === 1) throw new Error("This one fails.");
    return index;
  };

  const all = await Promise.allSettled([0, 1, 2, 3, 4].map((index) => few.run(work(index))));

  expect(most).toBe(2);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect(all.map(({ status }) => status === "fulfilled")).toEqual([true, false, true, true, true]);
});
