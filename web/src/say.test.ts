import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { LoginNeeded, Problem, problemOf, Unreachable } from "./api/problem";
import { speak, t } from "./lang";
import { de } from "./lang/de";
import { say, sayFailure, sayWarning } from "./say";

const failure = (type: string) => ({ type, title: "A title", detail: "What the service says." });

describe("in English", () => {
  test("the service's own sentence is shown, since it has the figures", () => {
    expect(say(new Problem(413, "too-large", "The limit is 2 GB."))).toBe("The limit is 2 GB.");
    expect(sayFailure(failure("no-audio-track"))).toBe("What the service says.");
    expect(sayWarning({ code: "damaged", detail: "2 s are silent." })).toBe("2 s are silent.");
  });

  test("the answer of a proxy is not an empty message", () => {
    expect(say(problemOf(502, "<html>Bad Gateway</html>"))).toBe(t.unknownProblem);
  });

  test("a lost network and a lost session have their own sentences", () => {
    expect(say(new Unreachable())).toBe(t.unreachable);
    expect(say(new LoginNeeded())).toBe(t.login.endedTitle);
  });

  test("a mistake of the page is not called a lost network", () => {
    expect(say(new TypeError("undefined is not a function"))).toBe(t.unknownProblem);
  });
});

/** The codes in a table of the service. */
function codesIn(module: string): string[] {
  const source = readFileSync(new URL(`../../functions/${module}`, import.meta.url), "utf8");
  return [...source.matchAll(/^ {4}"([a-z-]+)": /gm)].map(([, code]) => code!);
}

// They tell programs what they did wrong. A person never sees them.
const FOR_PROGRAMS = new Set(
  (
    "final-upload method-not-allowed wrong-offset still-answering unsupported-version precondition-failed " +
    "unsupported-content-type range-not-satisfiable key-taken"
  ).split(" "),
);

test("every problem and every failure of the service has a German sentence", () => {
  const problems = codesIn("shared/problems.py").filter((code) => !FOR_PROGRAMS.has(code));
  const failures = codesIn("convert/failures.py");

  expect(problems.length).toBeGreaterThan(20);
  expect(failures.length).toBeGreaterThan(10);
  expect(problems.filter((code) => !de.problems[code])).toEqual([]);
  expect(failures.filter((code) => !de.failures[code])).toEqual([]);
});

describe("in German", () => {
  beforeEach(() => {
    vi.stubGlobal("document", { documentElement: {} });
    return speak(["de-AT"]);
  });
  afterEach(() => speak(["en"]));

  test("problems, failures and warnings are told in German", () => {
    expect(say(new Problem(403, "quota-exceeded", "Your storage is full."))).toMatch(/Speicher/);
    expect(sayFailure(failure("no-audio-track"))).toMatch(/Tonspur/);
    expect(sayWarning({ code: "limited", detail: "A limiter keeps it from clipping." })).toMatch(/Limiter/);
  });

  test("a code that is newer than the page is told in the service's words", () => {
    expect(sayFailure(failure("of-tomorrow"))).toBe("What the service says.");
  });
});
