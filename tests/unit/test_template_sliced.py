"""Which routes of template.yaml take bodies in slices."""

import pytest

from infra.template import InvalidTemplate, load_template, parse_template


def with_metadata(metadata: str) -> str:
    return f"""
Resources:
  F:
    Type: AWS::Serverless::Function
    Metadata: {metadata}
    Properties:
      Handler: f.app.app
      Events:
        Send: {{Type: Api, Properties: {{Method: post, Path: /x}}}}
        Show: {{Type: Api, Properties: {{Method: get, Path: /x}}}}
        Tick: {{Type: Schedule, Properties: {{Schedule: rate(1 minute)}}}}
"""


@pytest.mark.parametrize(
    ("metadata", "sliced"),
    [("{}", []), ("{SlicedBodies: []}", []), ("{Other: 1}", []), ("{SlicedBodies: [Send]}", ["POST"])],
)
def test_metadata_of_a_function_name_the_events_whose_bodies_may_come_in_slices(metadata: str, sliced: list[str]):
    """CloudFormation leaves Metadata alone, so the list stands beside the routes and nowhere else."""
    assert [route.method for route in parse_template(with_metadata(metadata)).routes if route.sliced] == sliced


@pytest.mark.parametrize("names", ["[Sned]", "[Tick]", "Send", "{Send: true}", "[[Send]]", "[1]"])
def test_a_name_that_is_no_route_is_refused(names: str):
    """A misspelt one would answer 413 to every large video."""
    with pytest.raises(InvalidTemplate, match=r"F\.Metadata\.SlicedBodies"):
        parse_template(with_metadata(f"{{SlicedBodies: {names}}}"))


def test_what_takes_a_video_takes_it_in_slices():
    """And nothing else does: a function must know of slices."""
    assert {(route.method, route.path) for route in load_template().routes if route.sliced} == {
        ("POST", "/v1/conversions"),
        ("POST", "/v1/uploads"),
        ("POST", "/v1/uploads/{upload_id}"),
        ("PATCH", "/v1/uploads/{upload_id}"),
    }
