import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { Notices } from "./notices.svelte";

let notices: Notices;

beforeEach(() => {
  vi.useFakeTimers();
  notices = new Notices();
});
afterEach(() => void vi.useRealTimers());

const shown = () => notices.items.map(({ text }) => text);

describe("a message", () => {
  test("goes after some seconds, and what it offered is then over", () => {
    const gone = vi.fn();
    notices.show("Deleted.", { label: "Undo", run: vi.fn() }, gone);

    vi.advanceTimersByTime(7000);

    expect(shown()).toEqual([]);
    expect(gone).toHaveBeenCalledOnce();
  });

  test("stays while the person is at it, with pointer or keyboard", () => {
    notices.show("Deleted.");
    const notice = notices.items[0]!;
    notice.hold();
    notice.hold();
    notice.release();
    vi.advanceTimersByTime(60_000);
    expect(shown()).toEqual(["Deleted."]);

    notice.release();
    vi.advanceTimersByTime(6999);
    expect(shown()).toEqual(["Deleted."]);
    vi.advanceTimersByTime(1);
    expect(shown()).toEqual([]);
  });

  test("can be dismissed, the newest one first", () => {
    const gone = vi.fn();
    notices.show("One");
    notices.show("Two", undefined, gone);

    expect(notices.dismissLast()).toBe(true);

    expect(shown()).toEqual(["One"]);
    expect(gone).toHaveBeenCalledOnce();
  });

  test("does what it offers once, and then is not over a second time", () => {
    const [run, gone] = [vi.fn(), vi.fn()];
    notices.show("Deleted.", { label: "Undo", run }, gone);
    const notice = notices.items[0]!;

    notice.action!.run();
    // The pointer leaves the message that has just gone.
    notice.release();
    vi.advanceTimersByTime(20_000);

    expect(run).toHaveBeenCalledOnce();
    expect(gone).not.toHaveBeenCalled();
  });
});

describe("announcements", () => {
  test("are said one after the other, and none is lost", () => {
    for (const text of ["One", "Two", "Three"]) notices.say(text);

    const heard = [notices.spoken];
    for (let i = 0; i < 3; i += 1) {
      vi.advanceTimersByTime(1500);
      heard.push(notices.spoken);
    }

    expect(heard).toEqual(["One", "Two", "Three", ""]);
  });

  test("can be repeated later", () => {
    notices.say("One");
    vi.advanceTimersByTime(3000);
    notices.say("One");

    expect(notices.spoken).toBe("One");
  });
});
