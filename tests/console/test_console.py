"""The console in headless Chromium, over the API on the fake fleet."""

from functools import partial
from typing import Any

import pytest

from tests.console.conftest import Console
from tests.support.fake_service import east_north

CARD = ".card[data-vehicle={}]"
MARKER = ".vehicle-icon[data-vehicle={}]"


def say(page: Any, selector: str) -> str:
    return page.inner_text(selector)


def until(page: Any, script: str, argument: Any = None) -> None:
    page.wait_for_function(script, arg=argument)


def test_without_a_token_there_is_a_sign_in_that_tells_what_was_wrong(console: Console) -> None:
    page = console.open(token=None)
    assert page.is_visible("#sign-in")
    assert page.is_hidden("#main")

    for token, words in (("guess", "not known"), ("clinic-token", "viewer's or an operator's")):
        page.fill("#token", token)
        page.keyboard.press("Enter")
        until(page, "words => document.getElementById('sign-in-error').textContent.includes(words)", words)
    page.fill("#token", "op-token")
    page.keyboard.press("Enter")
    page.wait_for_selector(CARD.format("cw-1"))
    assert page.is_hidden("#sign-in")
    assert say(page, "#who") == "olga (operator)"

    page.click("#sign-out")
    assert page.is_visible("#sign-in")
    page.reload()
    assert page.is_visible("#sign-in")


def test_the_fleet_appears_and_the_token_leaves_the_address(console: Console) -> None:
    page = console.open()
    assert page.url == f"{console.server.url}/console/"
    assert page.locator(".vehicle-icon").count() == 3
    assert page.locator(".site").count() == 8
    assert page.locator("path.zone").count() == 5
    card = say(page, CARD.format("cw-1"))
    for words in ("outbound", "ord-1", "link up", "88", "4.2", "in range", "On plan to Ndeba Health Post."):
        assert words in card
    order = say(page, ".card[data-order=ord-1]")
    assert "antibiotics → ndeba" in order
    assert "accepted" in order
    assert say(page, "#counts") == "1 of 3 flying · 1 open orders"


def test_a_live_update_moves_the_vehicle_and_draws_its_trail(console: Console) -> None:
    page = console.open()
    before = page.locator(MARKER.format("cw-1")).bounding_box()
    to = east_north(3500, 1700)

    console.server.do(lambda fleet: fleet.set_vehicle("cw-1", lat_deg=to.lat_deg, lon_deg=to.lon_deg, heading_deg=63.0))

    right_of = "x => document.querySelector('[data-vehicle=cw-1] .vehicle').getBoundingClientRect().x > x"
    until(page, right_of, before["x"] + 40)
    after = page.locator(MARKER.format("cw-1")).bounding_box()
    assert after["y"] < before["y"] - 15
    assert "rotate(63 " in page.get_attribute(f"{MARKER.format('cw-1')} svg path", "transform")
    assert page.locator(".leaflet-trails-pane path[d*=L]").count() == 1


def test_selecting_a_vehicle_draws_its_temperature_and_battery(console: Console) -> None:
    page = console.open()

    def warm_up(fleet: Any, temp_c: float) -> None:
        fleet.now_s += 60.0
        fleet.set_vehicle("cw-1", box_temp_c=temp_c, battery_pct=80.0 - temp_c)

    page.click(CARD.format("cw-1"))
    for temp_c in (4.6, 5.4, 6.7):
        console.server.do(partial(warm_up, temp_c=temp_c))
        shown = "t => document.querySelector('[data-plot=\"Box temperature\"] b').textContent.startsWith(t)"
        until(page, shown, str(temp_c))
    assert page.get_attribute(CARD.format("cw-1"), "aria-pressed") == "true"
    assert "If the link dies: Hold 10 s" in say(page, "#detail")
    for plot, colour in (("Box temperature", (76, 201, 216)), ("Battery", (183, 227, 106))):
        drawn = page.evaluate(
            """([plot, rgb]) => {
              const canvas = document.querySelector(`[data-plot="${plot}"] canvas`);
              const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              let n = 0;
              for (let i = 0; i < data.length; i += 4)
                if (data[i + 3] > 200 && rgb.every((c, k) => Math.abs(data[i + k] - c) < 12)) n++;
              return n;
            }""",
            [plot, colour],
        )
        assert drawn > 100, f"the {plot} curve has {drawn} pixels"


def test_a_command_is_sent_only_when_it_was_confirmed(console: Console) -> None:
    page = console.open()
    page.click(CARD.format("cw-1"))
    page.click("[data-command=land]")
    assert "Land cw-1?" in say(page, "dialog")
    page.keyboard.press("Escape")
    page.click("[data-command=return]")
    assert "The delivery is given up." in say(page, "dialog")
    page.click("dialog button[value=no]")
    assert console.server.fleet.commands == []

    page.click("[data-command=hold]")
    page.click("#confirm-yes")
    page.wait_for_selector(".toast:has-text('Hold was sent to cw-1.')")
    assert [(v, c.value, who) for v, c, who in console.server.fleet.commands] == [("cw-1", "hold", "olga")]


QUESTION = ".question[data-asks=cw-1]"


def ask(console: Console, seconds: float = 90.0) -> None:
    def proposes(fleet: Any) -> None:
        fleet.set_vehicle("cw-1", awaits="reice midway", awaits_until_s=fleet.now_s + seconds)

    console.server.do(proposes)
    console.page.wait_for_selector(f"#questions {QUESTION}")


def test_what_a_vehicle_proposes_stands_above_everything_until_it_is_confirmed(console: Console) -> None:
    page = console.open()
    assert "asks" not in page.title()
    ask(console)
    assert "cw-1 would take a new pack at midway." in say(page, QUESTION)
    assert page.title() == "cw-1 asks · Coldwing console"
    assert page.locator(QUESTION).bounding_box()["y"] < page.locator(CARD.format("cw-1")).bounding_box()["y"]
    console.server.do(lambda fleet: setattr(fleet, "now_s", fleet.now_s + 30.0))
    console.server.do(lambda fleet: fleet.set_vehicle("cw-1", battery_pct=87.0))
    until(page, "s => document.querySelector(s).textContent.includes('(60\u202fs)')", QUESTION)

    page.click(f"{QUESTION} [data-command=confirm]")
    assert "Confirm: cw-1 would take a new pack at midway?" in say(page, "dialog")
    page.click("dialog button[value=no]")
    assert console.server.fleet.commands == []
    page.click(f"{QUESTION} [data-command=confirm]")
    page.click("#confirm-yes")
    page.wait_for_selector(".toast:has-text('Confirm was sent to cw-1.')")
    page.wait_for_selector(QUESTION, state="detached")
    assert page.title() == "Coldwing console"
    assert [(v, c.value, who) for v, c, who in console.server.fleet.commands] == [("cw-1", "confirm", "olga")]


def test_a_proposal_is_declined_where_the_vehicle_is_looked_at(console: Console) -> None:
    page = console.open()
    page.click(CARD.format("cw-1"))
    assert page.locator(f"#detail {QUESTION}").is_hidden()
    ask(console)
    shown = page.locator(f"#detail {QUESTION}")
    shown.wait_for()
    assert shown.bounding_box()["y"] < page.locator("#detail h2").bounding_box()["y"]
    assert "false" not in say(page, "#detail")

    shown.locator("[data-command=decline]").click()
    assert "It flies on, and does not propose this again" in say(page, "dialog")
    page.click("#confirm-yes")
    page.wait_for_selector(".toast:has-text('Decline was sent to cw-1.')")
    shown.wait_for(state="hidden")
    assert [(v, c.value) for v, c, _ in console.server.fleet.commands] == [("cw-1", "decline")]


@pytest.mark.parametrize("then", [None, "return teral"])
def test_an_answer_to_what_is_not_proposed_any_more_is_not_sent(console: Console, then: str | None) -> None:
    page = console.open()
    ask(console)
    page.click(f"{QUESTION} [data-command=confirm]")
    console.server.do(lambda fleet: fleet.set_vehicle("cw-1", awaits=then))
    until(page, "s => !document.querySelector(s)?.textContent.includes('midway')", QUESTION)
    page.click("#confirm-yes")
    page.wait_for_selector(".toast.bad:has-text('does not propose to take a new pack at midway any more')")
    assert console.server.fleet.commands == []


def test_a_viewer_sees_what_is_proposed_and_cannot_answer(console: Console) -> None:
    page = console.open("view-token")
    ask(console)
    assert "Only an operator can answer." in say(page, QUESTION)
    assert page.locator("[data-command]").count() == 0


def test_a_refused_command_says_why(console: Console) -> None:
    page = console.open()
    page.click(CARD.format("cw-2"))
    console.server.do(lambda fleet: fleet.set_vehicle("cw-2", link="stale", heard_age_s=9.0))
    page.click("[data-command=hold]")
    page.click("#confirm-yes")
    page.wait_for_selector(".toast.bad:has-text('nothing can be commanded')")


def test_a_viewer_sees_everything_and_has_no_command(console: Console) -> None:
    page = console.open("view-token")
    page.click(CARD.format("cw-1"))
    assert page.is_visible("#detail")
    assert page.locator("[data-command]").count() == 0
    assert "need an operator" in say(page, "#detail")


def test_what_is_stale_or_wrong_shows_its_age_words_and_sign(console: Console) -> None:
    page = console.open()
    fault = "<img src=x onerror=alert(1)> The link is silent."
    console.server.do(lambda fleet: fleet.set_vehicle("cw-2", link="stale", heard_age_s=42.0, faults=(fault,)))
    console.server.do(lambda fleet: fleet.set_vehicle("cw-3", authority=False))
    console.server.do(lambda fleet: fleet.alarm("Closure across the route.", vehicle_id="cw-1"))

    page.wait_for_selector(".alarm:has-text('Closure across the route.')")
    until(page, "() => document.querySelector('.card[data-vehicle=cw-2]').textContent.includes('link stale, 42')")
    assert fault in say(page, CARD.format("cw-2"))
    assert "stood down" in say(page, CARD.format("cw-3"))
    assert "42" in say(page, f"{MARKER.format('cw-2')} b")

    page.click(".alarm button")
    assert page.locator(".alarm").count() == 0


def test_a_lost_connection_is_said_with_the_age_of_the_data_and_mended_by_itself(console: Console) -> None:
    page = console.open()
    console.context.route("**/v1/live", lambda route: route.abort())
    console.server.do(lambda fleet: fleet.break_readers())
    page.wait_for_selector("#banner:has-text('Connection lost. What you see is')")
    assert "not connected" in say(page, "#link")

    console.context.unroute("**/v1/live")
    page.wait_for_selector("#banner", state="hidden")
    until(page, "() => document.getElementById('link').textContent.includes('live')")


def test_a_zone_tells_its_kind_heights_and_times(console: Console) -> None:
    page = console.open()
    box = page.locator("path.zone-REQ_AUTHORISATION").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.6)
    page.wait_for_selector(".leaflet-tooltip:has-text('Airfield control zone')")
    words = say(page, ".leaflet-tooltip:has-text('Airfield control zone')")
    assert "authorisation" in words
    assert "0 m AGL to 300 m AGL" in words


def test_a_zone_that_is_withdrawn_leaves_the_map(console: Console) -> None:
    page = console.open()
    page.wait_for_selector("path.zone-PROHIBITED", state="attached")
    console.server.do(lambda fleet: (fleet.zone_list.pop("prison"), fleet._airspace_changed()))
    page.wait_for_selector("path.zone-PROHIBITED", state="detached")


def test_everything_is_reached_by_keyboard(console: Console) -> None:
    page = console.open()
    page.focus(CARD.format("cw-1"))
    page.keyboard.press("Enter")
    assert page.is_visible("#detail")
    page.focus("[data-command=resume]")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast:has-text('Resume was sent')")
    page.keyboard.press("Escape")
    assert page.is_hidden("#detail")
    page.focus(MARKER.format("cw-2"))
    page.keyboard.press("Enter")
    assert "cw-2" in say(page, "#detail h2")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_nothing_hangs_over_the_edge_of_a_phone_or_a_desk_screen(console: Console, width: int, height: int) -> None:
    console.page.set_viewport_size({"width": width, "height": height})
    page = console.open()
    ask(console)
    page.click(CARD.format("cw-1"))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("#map", "#detail", CARD.format("cw-2")):
        box = page.locator(selector).bounding_box()
        assert box["width"] > 200
        assert box["height"] > 60
