import { expect, test } from "vitest";

import { Successors, type Channel } from "./successors";

/** Channels that hear each other, as those of tabs do. */
function channels(count: number): Channel[] {
  const all: Channel[] = [];
  for (let i = 0; i < count; i += 1) {
    const own: Channel = {
      onmessage: null,
      postMessage(data) {
        for (const other of all) if (other !== own) other.onmessage?.({ data } as MessageEvent);
      },
    };
    all.push(own);
  }
  return all;
}

test("a copy of a tab hears which token came for the one that both had", async () => {
  const [here, there] = channels(2).map((channel) => new Successors(channel, 0));

  here!.announce("1", "2");
  here!.announce("2", "3");

  expect(await there!.latest("1")).toBe("3");
});

test("a copy that was made too late to hear of it asks", async () => {
  const [one, other] = channels(2);
  const here = new Successors(one!, 0);
  here.announce("1", "2");
  here.announce("2", "3");

  const there = new Successors(other!, 0);

  expect(await there.latest("1")).toBe("3");
});

test("a token that nobody has spent is the latest", async () => {
  expect(await new Successors(null).latest("1")).toBe("1");
});
