import { expect, test } from "vitest";

import type { Conversion } from "../api/client";
import { Item } from "./item.svelte";

const conversion = (state: Conversion["state"], progress: number, detail: string | null = null) =>
  ({ id: "c1", state, progress, error: detail && { type: "no-audio-track", title: "", detail } }) as Conversion;

function sent(): Item {
  const item = new Item("talk.mp4", 1000);
  for (const move of ["start", "send", "accept"] as const) item.move(move);
  return item;
}

test("what is sent becomes a share, a speed and the time that is left", () => {
  const item = new Item("talk.mp4", 1000);
  item.progress(0, 1000, 0);
  item.progress(250, 1000, 1000);

  expect(item.share).toBe(0.25);
  expect(item.speed).toBe(250);
  expect(item.secondsLeft).toBe(3);
});

test("nothing is claimed about sound whose length is not known yet", () => {
  const item = new Item("talk.mp4", 1000);
  item.progress(250, null, 0);

  expect(item.share).toBeNull();
  expect(item.secondsLeft).toBeNull();
});

test("the service's word counts once the file is there", () => {
  const item = sent();

  expect(item.observe(conversion("converting", 0.5))).toBe(true);
  expect([item.state, item.share]).toEqual(["converting", 0.5]);
  expect(item.observe(conversion("converting", 0.5))).toBe(false);
});

test("a failure brings the service's reason along", () => {
  const item = sent();
  item.observe(conversion("failed", 0.1, "The video has no soundtrack."));

  expect([item.state, item.trouble]).toEqual(["failed", "The video has no soundtrack."]);
});

test("an upload that begins again forgets the one before", () => {
  const item = sent();
  item.uploadUrl = "v1/uploads/1";
  const { key } = item;

  item.begin();

  expect([item.uploadUrl, item.sentBytes, item.trouble]).toEqual([null, 0, null]);
  expect(item.key).not.toBe(key);
});
