"""The report of a run, as text and in headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet.records.codec import to_json
from fleet.simulate.expect import Expect, ExpectRun
from fleet.simulate.judge import findings_of
from fleet.simulate.outcome import OrderOutcome, Outcome, ZoneSeen
from fleet.simulate.report import page as report
from fleet.simulate.report import write_report
from fleet.simulate.report.scene import Scene
from fleet.simulate.report.story import story
from geofences.geodesy import LatLon
from missions.plan import Ending, EnergyBudget, FenceSet, Leg, Plan, Waypoint
from tests.support.outcomes import HUB, START_S, UP_S, decision, event, fault, flown, outcome, place, square

MIDWAY_S = 200.0
BASE = (
    '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"kind": "river"}, "geometry": '
    '{"type": "LineString", "coordinates": [[38.19, 7.49], [38.21, 7.53]]}}]}'
)


def plan(*way: LatLon) -> dict[str, Any]:
    """A route as it stands in a record."""
    points = [Waypoint(p, 500.0, START_S) for p in way]
    legs = tuple(Leg(a, b, 1000.0, 5.0, ()) for a, b in pairwise(points))
    energy, fence = EnergyBudget(100.0, 20.0, 80.0, 20.0), FenceSet(None, (), ())
    made = Plan(
        "p1", "ndeba", Ending.HOLD_AT_DROP, True, legs, fence, (), energy, HUB, 420.0, 80.0, START_S, START_S, 1
    )
    return dict(to_json(made))


def eventful(**changes: Any) -> Outcome:
    """A closure on the way and a leaking seal, decisions on both, and one expectation missed."""
    record = [
        event(90.0, "planned", plan=plan(place(0.0), place(0.5, east_m=300.0), place(1.0))),
        decision(150.0, "reroute", faults=[("closure_ahead", "A closed zone lies on the route")]),
        decision(MIDWAY_S + 3.0, "return", faults=[("excursion_forecast", "It will be too warm")]),
        event(400.0, "alarm", text="<b>unwell</b> & loud"),
    ]
    run = outcome(
        record=record,
        happened=[fault(MIDWAY_S, "seal_failure", on="box-1")],
        zones=[ZoneSeen(square("TFR-1", place(0.7, east_m=250.0)), START_S + 149.0, START_S + 500.0)],
        sightings={"cw-1": flown(), "cw-2": flown("cw-2", east_m=500.0, late_s=20.0)},
        base_map=BASE,
        **changes,
    )
    expect = {"vaccine": Expect.model_validate({"state": ["received"], "decision": ["hold"]})}
    return replace(run, findings=findings_of(run, expect, ExpectRun()))


@pytest.fixture
def tab(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens an outcome's report; whatever it complains about, or asks of anybody, fails the test."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))

    def open_report(run: Outcome, *, fake_clock: bool = False) -> Any:
        path = tmp_path / "report.html"
        if fake_clock:
            page.clock.install(time=0)
        write_report(run, path)
        page.goto(path.as_uri())
        if fake_clock:
            page.clock.pause_at(60)
        return page

    yield open_report
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [(tmp_path / "report.html").as_uri()]


SLIDE = "t => { const s = document.querySelector('#time'); s.value = t; s.dispatchEvent(new Event('input')); }"


def set_time(page: Any, t_s: float) -> None:
    page.evaluate(SLIDE, t_s)


def centre(page: Any, vehicle: str) -> tuple[float, float]:
    box = page.locator(f"[data-vehicle={vehicle}] > svg").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def now(page: Any, vehicle: str) -> list[str]:
    return page.locator(f"[data-now={vehicle}] td").all_inner_texts()


def test_the_slider_moves_the_vehicles_along_their_tracks(tab: Any) -> None:
    page = tab(eventful())
    places, told = {}, {}
    for t_s in (0, MIDWAY_S, 310):
        set_time(page, t_s)
        places[t_s], told[t_s] = centre(page, "cw-1"), now(page, "cw-1")
        assert page.inner_text("#clock") == f"09:0{int(t_s) // 60}:{int(t_s) % 60:02d}"
    assert places[0][1] - 30 > places[MIDWAY_S][1] > places[310][1] + 30, "northwards"
    assert places[0][0] == pytest.approx(places[310][0], abs=2)
    assert told[0] == ["cw-1", "", "hold", "0 m", "0.0 m/s", "100 %"]
    assert told[MIDWAY_S] == ["cw-1", "vaccine", "mission", "80 m", "11.0 m/s", "90 %"]
    assert told[310][3:5] == ["8 m", "0.0 m/s"]
    other = centre(page, "cw-2")
    assert other[0] > places[310][0] + 20, "half a kilometre east of it"


def test_play_lets_the_time_run_to_the_end_and_begins_anew(tab: Any) -> None:
    page = tab(eventful(), fake_clock=True)

    def shown_s() -> float:
        return float(page.input_value("#time"))

    page.select_option("#speed", "60")
    page.click("#play")
    assert shown_s() == 0.0
    page.clock.run_for(2_000)
    assert shown_s() == pytest.approx(120.0, abs=3.0)
    page.click("#play")
    page.clock.run_for(2_000)
    assert shown_s() == pytest.approx(120.0, abs=3.0), "paused"
    page.click("#play")
    page.clock.run_for(9_000)
    assert shown_s() == 600.0
    assert page.get_attribute("#play", "aria-label") == "play"


def test_marks_plots_and_the_story_lead_to_their_time(tab: Any) -> None:
    page = tab(eventful())
    assert page.locator(".map .mark.fault").count() == 1
    assert page.locator(".map .mark.decision").count() == 2
    assert page.locator(".ticks .tick").count() == 5, "closure, fault, alarm and two decisions"
    page.locator(".ticks .tick.fault").dispatch_event("click")
    assert page.inner_text("#clock") == "09:03:20"
    assert "seal failure" in page.inner_text(".story tr.present")
    page.locator(".story tr", has_text="reroute it is").locator("td").first.click()
    assert page.inner_text("#clock") == "09:02:30"
    box = page.locator(".canvas").first.bounding_box()
    page.locator(".canvas").first.click(position={"x": box["width"] / 2, "y": 20})
    assert page.inner_text("#clock") in ("09:04:59", "09:05:00", "09:05:01")


def test_a_closure_shows_from_when_it_appears_until_it_is_withdrawn(tab: Any) -> None:
    page = tab(eventful())
    zone = page.locator("path.zone")
    for t_s, absent in ((100, True), (160, False), (520, True)):
        set_time(page, t_s)
        assert ("absent" in zone.get_attribute("class").split()) is absent


def test_every_recorded_step_is_shown_only_on_request(tab: Any) -> None:
    page = tab(eventful())
    assert page.locator(".story tr", has_text="commands upload").is_hidden()
    page.check("#every")
    assert page.locator(".story tr", has_text="commands upload").is_visible()
    page.locator("summary", has_text="return it is").click()
    assert page.locator(".inner", has_text="too far").last.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is wider than a phone"


def test_each_expectation_stands_there_with_what_was_seen_the_missed_first() -> None:
    text = report(eventful())
    assert "1 of 6 expectations missed" in text
    assert text.index("chosen: reroute, return") < text.index("it ended received")
    met = [replace(f, met=True) for f in eventful().findings]
    assert "all 6 expectations met" in report(replace(eventful(), findings=met))
    assert "not finished in time" in report(replace(eventful(), timed_out=True))


def test_texts_are_escaped_wherever_they_come_from() -> None:
    nasty = "<script>alert(1)</script>"
    run = eventful()
    order = replace(run.orders[0], name=nasty)
    text = report(
        replace(
            run,
            title=nasty,
            scenario_text=nasty,
            orders=[order],
            sites={nasty: (7.5, 38.2, 420.0)},
            world=[*run.world, fault(300.0, nasty, on=nasty)],
            zones=[ZoneSeen(square(nasty, place(0.5), name=nasty), 0.0)],
            sightings={nasty: flown(nasty)},
        )
    )
    assert nasty not in text
    assert "<b>unwell</b>" not in text
    assert text.count("<script") == 2


def test_a_run_in_which_nothing_flew_still_has_its_report(tab: Any) -> None:
    refused = outcome(orders=[OrderOutcome("vaccine", None, "too heavy")], sightings={}, world=[], box_truth={})
    page = tab(refused)
    assert "too heavy" in page.inner_text(".orders")
    assert page.locator(".plot").count() == 0
    page.click("#play")


def test_twenty_minutes_of_three_vehicles_stay_below_a_megabyte() -> None:
    long = {}
    for name in ("cw-1", "cw-2", "cw-3"):
        seen, again = flown(name), flown(name, late_s=600.0)
        seen.fixes += again.fixes
        seen.takeoffs += again.takeoffs
        seen.landings += again.landings
        long[name] = seen
    run = outcome(sightings=long, ended_s=START_S + 1200.0)
    assert len(report(run).encode()) < 500_000


def test_a_hundred_hours_of_flight_are_thinned() -> None:
    many = {f"cw-{i}": flown(f"cw-{i}") for i in range(40)}
    scene = Scene(outcome(sightings=many))
    assert sum(map(len, scene.tracks.values())) < 14_000


def test_the_story_tells_each_thing_once_in_the_order_of_time() -> None:
    lines = story(eventful())
    assert [line.at_s for line in lines] == sorted(line.at_s for line in lines)
    told = [f"{line.who}: {line.text}" for line in lines if not line.minor]
    for words in (
        "TFR-1: zone TFR-1 appears",
        "TFR-1: zone TFR-1 is withdrawn",
        "box-1: seal failure",
        "vaccine: reroute it is.",
        "vaccine: <b>unwell</b> & loud",
        "cw-1: box-1 leaves it",
        "vaccine: is received",
        "cw-1: lands with 73 % battery",
    ):
        assert told.count(words) == 1, words
    takeoff = next(line for line in lines if line.text == "takes off")
    assert takeoff.at_s == START_S + UP_S
