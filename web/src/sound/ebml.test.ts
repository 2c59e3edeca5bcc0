import { expect, test } from "vitest";
import { Doubt } from "./cut";
import { element, elementsIn, unsigned, variable } from "./ebml";

test.each([
  { bytes: [0x81], value: 1, width: 1 },
  { bytes: [0x40, 0x7f], value: 127, width: 2 },
  { bytes: [0x01, 0, 0, 0, 1, 0, 0, 0], value: 2 ** 24, width: 8 },
  { bytes: [0xff], value: null, width: 1 },
  { bytes: [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], value: null, width: 8 },
])("$bytes is the number $value", ({ bytes, value, width }) => {
  expect(variable(Uint8Array.from(bytes))).toEqual({ value, width });
});

test("what was written as elements is read as the same", () => {
  const [group] = elementsIn(element(0xa0, element(0xa1, Uint8Array.of(7)), element(0x4dbb, Uint8Array.of(1, 2))));

  const children = elementsIn(group!.body);

  expect(group!.id).toBe(0xa0);
  expect(children.map(({ id, body }) => [id, unsigned(body)])).toEqual([
    [0xa1, 7],
    [0x4dbb, 258],
  ]);
});

test("an element that is longer than the one around it is a doubt", () => {
  expect(() => elementsIn(Uint8Array.of(0xa3, 0x85, 1))).toThrow(Doubt);
});
