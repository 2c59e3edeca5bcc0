import { describe, expect, test } from "vitest";

import { after, next, type Move, type State } from "./states";

function run(...moves: Move[]): State | null {
  return moves.reduce<State | null>((state, move) => state && after(state, move), "ready");
}

describe("the way of a file", () => {
  test("leads from the disk to an MP3", () => {
    expect(run("start", "send", "accept", "convert", "complete")).toBe("completed");
  });

  test("goes on after a pause and after a lost connection", () => {
    expect(run("start", "send", "pause", "start", "send", "disconnect", "send")).toBe("sending");
  });

  test("can be paused while there is no connection", () => {
    expect(run("start", "send", "disconnect", "pause")).toBe("paused");
  });

  test("ends when it is cancelled, and a late answer changes nothing", () => {
    expect(run("start", "send", "cancel")).toBe("cancelled");
    expect(run("start", "send", "cancel", "accept")).toBeNull();
  });

  test("is not begun twice", () => {
    expect(run("start", "start")).toBeNull();
    expect(run("start", "send", "start")).toBeNull();
  });

  test("begins again after it was cancelled only if the person asks for it", () => {
    expect(run("start", "cancel", "start")).toBeNull();
    expect(run("start", "cancel", "retry")).toBe("waiting");
  });

  test("goes back to the queue when a converter has died", () => {
    expect(run("start", "send", "accept", "convert", "queue")).toBe("queued");
  });

  test("begins again after a failure", () => {
    expect(run("start", "send", "fail", "retry")).toBe("waiting");
  });
});

describe("whose turn it is", () => {
  const items = (...states: State[]) => states.map((state, index) => ({ state, index }));
  const indexes = (...states: State[]) => next(items(...states)).map((item) => item.index);

  test("two are sent at a time", () => {
    expect(indexes("waiting", "waiting", "waiting")).toEqual([0, 1]);
    expect(indexes("sending", "waiting", "waiting")).toEqual([1]);
  });

  test("one that has lost its connection keeps its place", () => {
    expect(indexes("offline", "sending", "waiting")).toEqual([]);
  });

  test("what is paused or already at the service takes no place", () => {
    expect(indexes("paused", "converting", "ready", "waiting", "waiting")).toEqual([3, 4]);
  });
});
