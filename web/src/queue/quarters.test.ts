import { expect, test } from "vitest";

import { quarterOf } from "./quarters";

test.each([
  [null, null],
  [0, null],
  [0.2499, null],
  [0.25, 0.25],
  [0.6, 0.5],
  [0.999, 0.75],
  // That it is complete is told by what follows.
  [1, null],
])("of a share of %s, a screen reader hears %s", (share, quarter) => expect(quarterOf(share)).toBe(quarter));
