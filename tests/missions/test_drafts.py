"""A draft: what a comparison of ways looks at, and nothing that only a flight needs."""

from __future__ import annotations

import pytest

from missions.plan import Plan
from tests.missions.test_options import ways


@pytest.mark.parametrize("battery_pct", [95.0, 30.0])
def test_a_draft_is_the_plan_without_what_only_a_flight_needs(battery_pct: float) -> None:
    draft, ready = ways(battery_pct, draft=True), ways(battery_pct)
    assert isinstance(draft, Plan)
    assert isinstance(ready, Plan)
    assert (draft.checked_by, ready.checked_by) == ("", "missions.routing.checker")
    assert [leg.alternates for leg in draft.legs] == [()] * len(draft.legs)
    assert all(leg.alternates for leg in ready.legs)
    compared = [[(leg.start, leg.end, leg.energy_wh, leg.length_m) for leg in p.legs] for p in (draft, ready)]
    assert compared[0] == compared[1]
    assert draft.energy.use_wh == ready.energy.use_wh
    told = [[[(r.from_m, r.to_m, r.site_id) for r in leg.returns] for leg in p.legs] for p in (draft, ready)]
    assert told[0] == told[1]
