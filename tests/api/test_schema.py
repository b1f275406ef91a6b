"""Every documented operation, called by schemathesis with what the schema allows and forbids: never a 5xx."""

import hypothesis
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from missions.orders import OrderState
from tests.support.fake_service import FakeFleet
from tests.support.serving import make_app, request

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def _schema():
    fleet = FakeFleet()
    fleet.put_order(request())
    fleet.deliver("ord-1", upto=OrderState.RECEIVED)
    documented = schemathesis.openapi.from_asgi("/openapi.json", make_app(fleet))
    return documented.exclude(path="/v1/live")  # it never ends; see test_streams


schema = _schema()


@schema.parametrize()
@hypothesis.settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_no_operation_fails_or_answers_what_is_not_documented(case) -> None:
    case.call_and_validate(headers={"Authorization": "Bearer op-token"}, checks=CHECKS)
