"""Somebody who uses the page: what they see, press and wait for."""

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

PASSWORD = "a long sentence"  # of accounts that live as long as a test
# A converter may be busy with what another test has left.
PATIENCE_MS = 30_000
FAST = -1


class Visitor:
    """A person with a browser of their own, at the page that `url` leads to."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.email = f"{secrets.token_hex(6)}@example.com"
        self.actions = 0
        self.troubles: list[str] = []
        self.offsets: list[int] = []
        self._network = context.new_cdp_session(self.page)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on(
            "console", lambda message: self.troubles.append(message.text) if _is_refusal(message.text) else None
        )
        self.page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.method == "PATCH":
            self.offsets.append(int(request.headers["upload-offset"]))

    def arrives(self, hash_: str = "") -> Self:
        self.page.goto(self.url + hash_)
        self.page.wait_for_selector("main h1, main h2", state="attached")
        return self

    def prefers(self, **preferences: object) -> Self:
        """Set options that the page finds as if they had been chosen on an earlier visit."""
        stored = json.dumps(json.dumps(preferences))
        self.page.add_init_script(f"localStorage.setItem('video2mp3.preferences', {stored})")
        return self

    def chooses(self, *files: Path) -> Self:
        self.actions += 1
        self.page.set_input_files("[data-testid=files]", list(files))
        return self

    def presses(self, name: str, within: Locator | None = None) -> Self:
        self.actions += 1
        (within or self.page).get_by_role("button", name=name).first.click()
        return self

    def signs_up(self) -> Self:
        self.page.fill("input[name=email]", self.email)
        self.page.fill("input[name=password]", PASSWORD)
        return self.presses("Create account")

    def logs_in(self) -> Self:
        self.page.fill("input[name=email]", self.email)
        self.page.fill("input[name=password]", PASSWORD)
        return self.presses("Log in", self.page.locator("dialog"))

    def converts(self, *files: Path) -> Self:
        """Choose files and start them, as somebody who is new here."""
        return self.chooses(*files).presses("Convert").signs_up()

    def sends_at(self, bytes_per_second: int) -> Self:
        """Slow the network down, or FAST."""
        return self._limit(offline=False, bytes_per_second=bytes_per_second)

    def goes_offline(self) -> Self:
        """Lose the network, until it next `sends_at` a speed."""
        return self._limit(offline=True, bytes_per_second=FAST)

    def _limit(self, *, offline: bool, bytes_per_second: int) -> Self:
        # Playwright's own `set_offline` speaks through another session, whose limits may lose to those set here.
        self._network.send("Network.enable")
        limits = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
        self._network.send("Network.emulateNetworkConditions", limits)
        return self

    def row(self, file: Path) -> Locator:
        """What the queue shows of a file."""
        return self.page.get_by_role("article", name=file.name, exact=True)

    def sees(self, file: Path, state: str) -> Self:
        """Wait until a file is in a state."""
        expect(self.row(file)).to_contain_class(state, timeout=PATIENCE_MS)
        return self

    def has_sent(self, file: Path, share: float) -> Self:
        """Wait until this share of a file is sent."""
        self.page.wait_for_function(
            "([name, share]) => [...document.querySelectorAll('[role=progressbar]')]"
            ".some((bar) => bar.ariaLabel.includes(name) && bar.ariaValueNow >= share * 100)",
            arg=[file.name, share],
            timeout=PATIENCE_MS,
        )
        return self

    def hears(self, play: Locator) -> float:
        """Press a play button, and return the position of the player after it has played for a while."""
        self.actions += 1
        play.click()
        moved = "() => [...document.querySelectorAll('audio')].map((audio) => audio.currentTime).find((at) => at > 0.4)"
        return float(self.page.wait_for_function(moved).json_value())

    def violations(self, axe: str) -> list[str]:
        """What axe objects to in what is shown now."""
        self.page.wait_for_timeout(400)  # until all has faded in
        # In its own world, where the page's Content-Security-Policy does not hold.
        self.page.evaluate(axe)
        found: Sequence[dict[str, Any]] = self.page.evaluate("axe.run().then(({violations}) => violations)")
        return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


def _is_refusal(text: str) -> bool:
    return "Content Security Policy" in text or "Content-Security-Policy" in text
