import { expect, test } from "vitest";
import { box, boxesIn, bodyOf, fileBoxes, find, latin } from "./boxes";
import { bigEndian, concat } from "./bytes";
import { collect } from "./collect";
import { Doubt } from "./cut";

test("boxes are found in boxes by their path", () => {
  const movie = box("moov", box("mvhd", latin("a")), box("trak", box("tkhd", latin("b"))));

  const [found] = boxesIn(movie);

  expect(found?.type).toBe("moov");
  expect(bodyOf(found!.body, "trak/tkhd")).toEqual(latin("b"));
  expect(find(found!.body, "trak/mdia")).toBeUndefined();
});

test("a box that is longer than the one around it is a doubt", () => {
  expect(() => boxesIn(concat([bigEndian(100, 4), latin("free")]))).toThrow(Doubt);
});

test("a box may say its length in 64 bits, or reach to the end of the file", async () => {
  const long = concat([bigEndian(1, 4), latin("mdat"), bigEndian(20, 8), latin("1234")]);
  const last = concat([bigEndian(0, 4), latin("free"), latin("12")]);

  const found = await collect(fileBoxes(new Blob([long, last] as BlobPart[])));

  expect(found).toEqual([
    { type: "mdat", start: 0, body: 16, end: 20 },
    { type: "free", start: 20, body: 28, end: 30 },
  ]);
});

test("a file that ends within a box is a doubt, since the service must see that it was cut off", async () => {
  const cut = new Blob([box("mdat", latin("1234")).subarray(0, 10)] as BlobPart[]);

  await expect(collect(fileBoxes(cut))).rejects.toThrow(Doubt);
});
