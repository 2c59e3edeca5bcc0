"""The page, as people use it: a browser, the whole service, and nothing in place of either."""

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from infra.local.stack import RunningStack, running_stack
from infra.web import main as build_page
from tests.browser.visitor import FAST, PATIENCE_MS, Visitor
from tests.media import Media, with_ballast

MIB = 1024 * 1024
SLICE = 4 * MIB
AXE = Path("web/node_modules/axe-core/axe.min.js")
WHOLE_FILE = {"onlySound": False}

# What sticks out of the screen.
WIDEST = """() => [...document.querySelectorAll("body *")]
    .map((element) => [element.getBoundingClientRect(), element.outerHTML.slice(0, 100)])
    .filter(([{left, right}]) => left < 0 || right > innerWidth)"""

NewVisitor = Callable[..., Visitor]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The service with access tokens that live so short that every longer upload has to refresh them."""
    assert build_page([]) == 0
    with running_stack(tmp_path_factory.mktemp("stack"), {**os.environ, "ACCESS_TTL_S": "25"}) as running:
        yield running


@pytest.fixture
def new_visitor(chromium: Browser, stack: RunningStack) -> Iterator[NewVisitor]:
    """Make people who use the page. Each has a browser of their own."""
    visitors: list[Visitor] = []

    def new_visitor(**options: object) -> Visitor:
        context = chromium.new_context(locale="en-GB", reduced_motion="reduce", **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        visitors.append(Visitor(context, stack.url + "/"))
        return visitors[-1]

    yield new_visitor
    for visitor in visitors:
        visitor.page.context.close()
    assert [trouble for visitor in visitors for trouble in visitor.troubles] == []


@pytest.fixture
def ann(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


@pytest.fixture
def clip(media: Media) -> Path:
    return media.video("mp4 moov first")


@pytest.fixture
def large(clip: Path, tmp_path: Path) -> Path:
    """A video of several slices."""
    path = tmp_path / "large.mp4"
    path.write_bytes(with_ballast(clip.read_bytes(), 5 * SLICE))
    return path


def test_a_first_visit_leads_to_a_playing_mp3(ann: Visitor, clip: Path) -> None:
    """At most three actions from a file to a running conversion, the account included."""
    ann.arrives().converts(clip)
    assert ann.actions == 3

    ann.sees(clip, "completed")
    assert ann.hears(ann.row(clip).get_by_role("button", name="Play")) > 0


def test_a_later_visit_takes_two_actions(ann: Visitor, clip: Path) -> None:
    ann.arrives().converts(clip).sees(clip, "completed")
    ann.arrives()
    ann.page.reload()
    ann.actions = 0

    ann.chooses(clip).presses("Convert to MP3")

    assert ann.actions == 2
    ann.sees(clip, "completed")


def test_only_the_sound_is_sent(ann: Visitor, tmp_path: Path, media: Media) -> None:
    """And the person is told what that has saved."""
    video = media.video("mp4 moov first", 30)

    ann.arrives().converts(video).sees(video, "completed")

    expect(ann.row(video)).to_contain_text("instead of")


def test_two_of_three_files_are_sent_at_a_time(ann: Visitor, clip: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.mp4" for name in ("one", "two", "three")]
    for file in files:
        file.write_bytes(with_ballast(clip.read_bytes(), 2 * MIB))
    ann.prefers(**WHOLE_FILE).arrives().sends_at(MIB)

    ann.converts(*files).sees(files[0], "sending").sees(files[1], "sending")
    expect(ann.row(files[2])).to_contain_class("waiting")

    ann.sends_at(FAST)
    for file in files:
        ann.sees(file, "completed")


def test_an_upload_outlives_a_lost_network(ann: Visitor, large: Path) -> None:
    """Ten seconds without a network, in the middle: it says so, and goes on by itself."""
    ann.prefers(**WHOLE_FILE).arrives().sends_at(2 * MIB).converts(large).has_sent(large, 0.2)

    ann.goes_offline().sees(large, "offline")
    ann.page.wait_for_timeout(10_000)

    ann.sends_at(FAST).sees(large, "completed")
    assert ann.offsets.count(0) == 1


def test_an_upload_goes_on_after_a_reload(ann: Visitor, large: Path) -> None:
    """The same file is chosen again, and at most one slice is sent twice."""
    ann.prefers(**WHOLE_FILE).arrives().sends_at(4 * MIB).converts(large).has_sent(large, 0.5)
    before = ann.offsets[-1]
    ann.page.on("dialog", lambda dialog: dialog.accept())

    ann.page.reload()
    ann.sees(large, "paused")
    ann.offsets.clear()
    ann.sends_at(FAST).chooses(large).sees(large, "completed")

    assert ann.offsets[0] >= before


@pytest.fixture
def long_sound(media: Media) -> Path:
    """A video whose sound alone has several slices."""
    return media.video("mov", 240)


def test_an_upload_of_the_sound_goes_on_after_a_reload(ann: Visitor, long_sound: Path) -> None:
    """The sound is taken out again, and its bytes are the same."""
    ann.arrives().sends_at(4 * MIB).converts(long_sound).has_sent(long_sound, 0.5)
    before = ann.offsets[-1]
    ann.page.on("dialog", lambda dialog: dialog.accept())

    ann.page.reload()
    ann.sees(long_sound, "paused")
    ann.offsets.clear()
    ann.sends_at(FAST).chooses(long_sound).sees(long_sound, "completed")

    assert ann.offsets[0] >= before
    expect(ann.row(long_sound)).to_contain_text("instead of")


def test_an_upload_of_the_sound_goes_on_after_a_pause(ann: Visitor, long_sound: Path) -> None:
    ann.arrives().sends_at(4 * MIB).converts(long_sound).has_sent(long_sound, 0.3)

    ann.presses(f"Pause {long_sound.name}").sees(long_sound, "paused")
    ann.sends_at(FAST).presses(f"Resume {long_sound.name}").sees(long_sound, "completed")

    assert ann.offsets.count(0) == 1
    expect(ann.row(long_sound)).to_contain_text("instead of")


def test_sound_that_cannot_be_taken_out_to_its_end_is_sent_as_a_whole_file(
    ann: Visitor, media: Media, tmp_path: Path
) -> None:
    """Its clock jumps back in the middle, which is found when a part of the sound is sent already."""
    video = tmp_path / "twice.ts"
    video.write_bytes(media.video("mpeg-ts", 120).read_bytes() * 2)
    ann.arrives()

    with ann.page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.status == 204):
        ann.converts(video)
    ann.sees(video, "completed")

    assert ann.offsets.count(0) == 2
    expect(ann.row(video)).not_to_contain_text("instead of")


def test_a_second_tab_leaves_the_uploads_of_the_first_alone(ann: Visitor, large: Path) -> None:
    """It neither shows them, nor goes on with them, nor remembers them when it is closed."""
    ann.prefers(**WHOLE_FILE).arrives().sends_at(2 * MIB).converts(large).has_sent(large, 0.2)

    second = ann.page.context.new_page()
    second.goto(ann.url)
    second.wait_for_timeout(2500)
    assert second.get_by_role("article").count() == 0
    second.close()

    ann.sends_at(FAST).sees(large, "completed")
    assert ann.offsets.count(0) == 1
    assert ann.page.evaluate("localStorage.getItem('video2mp3.uploads')") == "[]"


def test_a_logout_in_one_tab_leaves_nothing_in_the_other(ann: Visitor, clip: Path) -> None:
    ann.arrives().converts(clip).sees(clip, "completed")
    second = ann.page.context.new_page()
    second.goto(ann.url + "#/account")

    second.get_by_role("button", name="Log out").click()

    expect(ann.row(clip)).to_be_hidden()
    expect(ann.page.get_by_role("button", name="Log in", exact=True)).to_be_visible()


def test_a_device_that_is_not_ones_own_keeps_nothing_of_an_upload(ann: Visitor, large: Path) -> None:
    ann.prefers(**WHOLE_FILE).arrives().sends_at(2 * MIB).chooses(large).presses("Convert")
    ann.page.get_by_label("This is not my device").check()
    ann.signs_up().has_sent(large, 0.2)

    kept = ann.page.evaluate("Object.keys(localStorage)")

    assert kept == ["video2mp3.preferences"]


def test_a_copy_of_a_tab_shares_its_session(ann: Visitor, clip: Path) -> None:
    """Both have the same refresh token, which works once; sending it again ends the session everywhere."""
    ann.arrives().chooses(clip).presses("Convert")
    ann.page.get_by_label("This is not my device").check()
    ann.signs_up().sees(clip, "completed")
    with ann.page.expect_popup() as popup:
        ann.page.evaluate("window.open('#/library')")
    copy = popup.value

    for _ in range(2):
        ann.page.wait_for_timeout(6000)  # so that the access tokens are too old
        copy.goto(ann.url + "#/account")
        ann.arrives("#/account")
        for page in (copy, ann.page):
            page.reload()
            expect(page.get_by_text(ann.email)).to_be_visible()


def test_what_was_waiting_is_not_lost_either(ann: Visitor, large: Path, tmp_path: Path) -> None:
    others = [tmp_path / f"{name}.mp4" for name in ("second", "third")]
    for other in others:
        other.write_bytes(large.read_bytes())
    ann.prefers(**WHOLE_FILE).arrives().sends_at(MIB).converts(large, *others).has_sent(large, 0.1)
    expect(ann.row(others[1])).to_contain_class("waiting")
    ann.page.on("dialog", lambda dialog: dialog.accept())

    ann.page.reload()

    for file in (large, *others):
        ann.sees(file, "paused")
    ann.sends_at(FAST).chooses(others[1]).sees(others[1], "completed")


def test_an_upload_can_be_paused(ann: Visitor, large: Path) -> None:
    ann.prefers(**WHOLE_FILE).arrives().sends_at(4 * MIB).converts(large).has_sent(large, 0.3)

    ann.presses(f"Pause {large.name}").sees(large, "paused")
    ann.page.wait_for_timeout(500)
    sent = len(ann.offsets)
    ann.page.wait_for_timeout(1500)
    assert len(ann.offsets) == sent

    ann.sends_at(FAST).presses(f"Resume {large.name}").sees(large, "completed")
    assert ann.offsets.count(0) == 1


def test_an_upload_can_be_cancelled(ann: Visitor, large: Path) -> None:
    """Nothing of it is left at the service."""
    ann.prefers(**WHOLE_FILE).arrives().sends_at(2 * MIB).converts(large).has_sent(large, 0.2)

    with ann.page.expect_response(lambda answer: answer.request.method == "DELETE" and answer.status == 204):
        ann.presses(f"Cancel {large.name}").sees(large, "cancelled")


def test_failures_are_told_in_plain_words(ann: Visitor, media: Media, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("These are words, not a video.\n" * 100)
    silent = media.video("no sound")

    ann.arrives().converts(silent, text).sees(silent, "failed").sees(text, "failed")

    expect(ann.row(silent)).to_contain_text("no soundtrack")
    expect(ann.row(text)).to_contain_text("cannot be read as a video")


def test_a_session_that_ends_in_mid_upload_costs_a_login_and_nothing_else(ann: Visitor, large: Path) -> None:
    ann.prefers(**WHOLE_FILE).arrives().sends_at(MIB).converts(large).has_sent(large, 0.2)

    ann.page.evaluate("localStorage.setItem('video2mp3.session', 'one that has been spent')")
    expect(ann.page.get_by_role("dialog")).to_contain_text("Please log in again", timeout=PATIENCE_MS)
    ann.sends_at(FAST).logs_in().sees(large, "completed")

    assert ann.offsets.count(0) == 1


def test_three_mp3s_are_saved_as_one_zip(ann: Visitor, clip: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.mp4" for name in ("one", "two", "three")]
    for file in files:
        file.write_bytes(clip.read_bytes())
    ann.arrives().converts(*files)
    for file in files:
        ann.sees(file, "completed")

    ann.arrives("#/library")
    for file in files:
        ann.page.get_by_role("checkbox", name=f"Select {file.name}").check()
    with ann.page.expect_download() as download:
        ann.presses("Save as ZIP")

    download.value.save_as(tmp_path / "mp3s.zip")
    with zipfile.ZipFile(tmp_path / "mp3s.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["one.mp3", "three.mp3", "two.mp3"]


def test_a_deletion_can_be_undone(ann: Visitor, clip: Path) -> None:
    ann.arrives().converts(clip).sees(clip, "completed")
    ann.arrives("#/library")
    row = ann.page.get_by_role("heading", name=clip.name)

    ann.presses(f"Delete {clip.name}")
    expect(row).to_be_hidden()
    ann.presses("Undo")
    expect(row).to_be_visible()


def test_a_link_leads_to_an_mp3_without_a_login(ann: Visitor, new_visitor: NewVisitor, clip: Path) -> None:
    ann.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ann.arrives().converts(clip).sees(clip, "completed")
    ann.arrives("#/library").presses(f"Copy a link to {clip.name}")
    expect(ann.page.get_by_text("Link copied")).to_be_visible()
    link = ann.page.evaluate("navigator.clipboard.readText()")

    bob = new_visitor()
    bob.page.goto(link)

    expect(bob.page.get_by_role("heading", level=1)).to_have_text(f"{clip.stem}.mp3")
    assert bob.hears(bob.page.get_by_role("button", name="Play")) > 0
    bob.arrives("#/link/one-that-was-changed")
    expect(bob.page.get_by_role("heading", level=1)).to_have_text("This link no longer works")


def test_the_keyboard_is_enough(ann: Visitor, clip: Path) -> None:
    # No test can answer the browser's own file picker, so it is only noted that it would open.
    ann.page.add_init_script(
        "delete window.showOpenFilePicker;"
        "HTMLInputElement.prototype.click = function () { this.dataset.opened = 'yes' }"
    )
    ann.arrives()
    keys = ann.page.keyboard

    def tab_to(name: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            focused = ann.page.evaluate(
                "document.activeElement.ariaLabel || document.activeElement.name || document.activeElement.innerText"
            )
            if focused.strip() == name:
                return
        pytest.fail(f"{name} cannot be reached.")

    tab_to("Choose videos")
    keys.press("Enter")
    ann.page.locator("input[type=file][data-opened=yes]").set_input_files(clip)
    tab_to("Convert to MP3")
    keys.press("Enter")
    expect(ann.page.locator("input[name=email]")).to_be_focused()
    keys.type(ann.email)
    keys.press("Tab")
    keys.type("a long sentence")
    keys.press("Enter")
    ann.sees(clip, "completed")
    tab_to(f"Play {clip.name}")
    keys.press("Enter")

    ann.page.wait_for_function("() => document.querySelector('audio').currentTime > 0.3")


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_overflows_from_right_to_left(ann: Visitor, clip: Path, tmp_path: Path, width: int) -> None:
    """With an Arabic name that is too long for any screen, down to the width of 400 % zoom."""
    video = tmp_path / f"{'مقابلة طويلة جدا مع رئيس البلدية ' * 4}.mp4"
    video.write_bytes(clip.read_bytes())
    ann.page.set_viewport_size({"width": width, "height": 800})
    ann.page.add_init_script("addEventListener('DOMContentLoaded', () => (document.documentElement.dir = 'rtl'))")
    ann.arrives().chooses(video)
    _unfold_options(ann)
    _assert_fits(ann)
    ann.presses("Convert").signs_up()
    expect(ann.page.locator("article.completed")).to_be_visible(timeout=PATIENCE_MS)
    _assert_fits(ann)
    ann.arrives("#/library")
    ann.page.wait_for_selector("li h2")
    _assert_fits(ann)


def _unfold_options(visitor: Visitor) -> None:
    summaries = visitor.page.locator("section summary")
    expect(summaries.first).to_be_visible()
    for summary in summaries.all():
        summary.click()


def _assert_fits(visitor: Visitor) -> None:
    wide = visitor.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, visitor.page.evaluate(WIDEST)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_screen(new_visitor: NewVisitor, clip: Path, media: Media, scheme: str) -> None:
    axe = AXE.read_text()
    ann = new_visitor(color_scheme=scheme)
    silent = media.video("no sound")
    found: dict[str, list[str]] = {}

    def look(screen: str) -> None:
        found[screen] = ann.violations(axe)

    ann.arrives()
    look("empty")
    ann.chooses(clip)
    _unfold_options(ann)
    look("options")
    ann.presses("Convert")
    look("sign-up")
    ann.signs_up().sees(clip, "completed").chooses(silent).presses("Convert").sees(silent, "failed")
    look("queue")
    ann.arrives("#/library")
    ann.page.get_by_role("checkbox", name="Select").first.check()
    look("library")
    ann.arrives("#/account")
    ann.page.wait_for_selector("section")
    look("account")
    ann.arrives("#/link/one-that-was-changed")
    expect(ann.page.get_by_role("heading", level=1)).to_be_visible()
    look("link that has expired")

    assert {screen: violations for screen, violations in found.items() if violations} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_while_a_video_is_under_way(new_visitor: NewVisitor, large: Path, scheme: str) -> None:
    axe = AXE.read_text()
    ann = new_visitor(color_scheme=scheme, permissions=["clipboard-read", "clipboard-write"])
    found: dict[str, list[str]] = {}

    def look(screen: str) -> None:
        found[screen] = ann.violations(axe)

    ann.prefers(**WHOLE_FILE).arrives().sends_at(MIB).converts(large).has_sent(large, 0.05)
    look("uploading")
    ann.presses(f"Pause {large.name}").sees(large, "paused")
    look("paused")
    ann.presses(f"Resume {large.name}").sees(large, "sending")
    ann.goes_offline().sees(large, "offline")
    look("offline")
    # A short sound is converted before anybody can look.
    ann.page.route(_WATCHED, _answer_converting)
    ann.sends_at(FAST).sees(large, "converting")
    look("converting")
    ann.page.unroute(_WATCHED)
    ann.sees(large, "completed")
    ann.arrives("#/library").presses(f"Copy a link to {large.name}")
    expect(ann.page.get_by_text("Link copied")).to_be_visible()
    look("message")
    ann.page.goto(ann.page.evaluate("navigator.clipboard.readText()"))
    expect(ann.page.get_by_role("link", name="Save MP3")).to_be_visible()
    look("link")

    assert {screen: violations for screen, violations in found.items() if violations} == {}


_WATCHED = re.compile(r"/v1/conversions\?ids=")


def _answer_converting(route: Route) -> None:
    """Let the service answer, as if it were half-way through."""
    headers = {name: value for name, value in route.request.headers.items() if name != "if-none-match"}
    answer = route.fetch(headers=headers)
    page = answer.json()
    for conversion in page["items"]:
        conversion.update(state="converting", progress=0.5, mp3=None)
    route.fulfill(response=answer, json=page)


def test_a_deletion_outlives_the_page(ann: Visitor, clip: Path) -> None:
    """Nobody waits for Undo to go away before they close a tab."""
    ann.arrives().converts(clip).sees(clip, "completed")
    ann.arrives("#/library").presses(f"Delete {clip.name}")

    ann.page.reload()

    expect(ann.page.get_by_text("Your MP3s will appear here.")).to_be_visible()
    ann.page.wait_for_function("() => localStorage.getItem('video2mp3.removals') === null")
    ann.page.reload()
    expect(ann.page.get_by_text("Your MP3s will appear here.")).to_be_visible()


def test_the_focus_stays_near_what_is_gone(ann: Visitor, clip: Path, tmp_path: Path) -> None:
    """Otherwise the keyboard would begin at the top of the page after each button that goes away."""
    others = [tmp_path / f"{name}.mp4" for name in ("second", "third")]
    for other in others:
        other.write_bytes(clip.read_bytes())
    ann.page.add_init_script("delete window.showOpenFilePicker")
    ann.arrives()

    with ann.page.expect_file_chooser() as chooser:
        ann.presses("Choose videos")
    chooser.value.set_files([clip, *others])
    expect(ann.page.get_by_role("heading", name="3 files")).to_be_focused()
    ann.presses(f"Remove {clip.name}")
    expect(ann.page.get_by_role("button", name=f"Remove {others[0].name}")).to_be_focused()
    ann.presses("Convert 2 files").signs_up()
    expect(ann.page.get_by_role("heading", name="Your files")).to_be_focused()
    ann.sees(others[0], "completed").sees(others[1], "completed")
    ann.presses("Remove", ann.row(others[1]))
    expect(ann.row(others[0])).to_be_focused()
    ann.presses("Remove", ann.row(others[0]))
    expect(ann.page.get_by_role("button", name="Choose videos")).to_be_focused()


def test_a_cover_out_of_the_picture_takes_the_whole_file(ann: Visitor, media: Media) -> None:
    video = media.video("mp4 moov first", 30)
    ann.arrives().chooses(video)
    _unfold_options(ann)
    ann.page.get_by_label("Cover from the picture at").fill("0:02")

    ann.presses("Convert").signs_up().sees(video, "completed")

    expect(ann.row(video)).not_to_contain_text("instead of")
    ann.presses(f"Play {video.name}")
    expect(ann.row(video).locator("img")).to_be_visible()


def test_a_link_that_cannot_be_looked_up_can_be_tried_again(ann: Visitor, clip: Path) -> None:
    """Only the service can say that a link has expired."""
    ann.page.route("**/v1/downloads/*", lambda route: route.fulfill(status=503))
    ann.arrives("#/link/any")
    expect(ann.page.get_by_role("heading", level=1)).to_have_text("Your MP3 cannot be shown right now")

    ann.page.unroute("**/v1/downloads/*")
    ann.presses("Try again")

    expect(ann.page.get_by_role("heading", level=1)).to_have_text("This link no longer works")


def test_a_video_that_another_app_shares_is_taken(ann: Visitor, clip: Path) -> None:
    """A phone's "share" posts a form, which never reaches the service: the page's worker takes the file."""
    ann.arrives()
    ann.page.evaluate("() => navigator.serviceWorker.ready")
    ann.page.reload()
    ann.page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    ann.page.evaluate("""() => {
        const form = document.createElement("form");
        Object.assign(form, {method: "post", action: "share", enctype: "multipart/form-data"});
        form.append(Object.assign(document.createElement("input"), {type: "file", name: "video", multiple: true}));
        document.body.append(form);
    }""")
    ann.page.set_input_files("input[name=video]", clip)

    ann.page.evaluate("() => document.querySelector('form[action=share]').submit()")

    expect(ann.page.get_by_role("button", name="Convert to MP3")).to_be_visible()
    expect(ann.page.get_by_text(clip.name)).to_be_visible()
