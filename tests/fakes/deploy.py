"""A CloudFormation whose stack goes where a test sends it."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


@dataclass
class FakeCloudFormation:
    """Knows one stack. `status` is None as long as there is none.

    An execution goes through `states`, one at each look, and tells of `failures` as (resource, reason). `refusal` is
    why a change set fails.
    """

    status: str | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    refusal: str | None = None
    states: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    executing: bool = False
    meta: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(region_name="eu-central-1"))

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        if self.executing and self.states:
            self.status = self.states.pop(0)
            self._tell(StackName, "AWS::CloudFormation::Stack", self.status, "")
        if self.status is None:
            raise ClientError(
                {"Error": {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}},
                "DescribeStacks",
            )
        outputs = [{"OutputKey": "ApiId", "OutputValue": "a1"}]
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.status, "Outputs": outputs}]}

    def create_change_set(self, **given: Any) -> dict[str, Any]:
        self.calls.append(f"create {given['ChangeSetType']}")
        self.parameters = {each["ParameterKey"]: each["ParameterValue"] for each in given["Parameters"]}
        self.status = self.status or "REVIEW_IN_PROGRESS"
        return {"Id": "arn:change-set"}

    def describe_change_set(self, ChangeSetName: str, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        if self.refusal is not None:
            return {"Status": "FAILED", "StatusReason": self.refusal}
        # A page has one.
        at = int(NextToken)
        page: dict[str, Any] = {"Status": "CREATE_COMPLETE", "Changes": self.changes[at : at + 1]}
        return page | ({"NextToken": str(at + 1)} if at + 1 < len(self.changes) else {})

    def delete_change_set(self, ChangeSetName: str) -> None:  # noqa: N803
        self.calls.append("delete change set")

    def delete_stack(self, StackName: str) -> None:  # noqa: N803
        self.calls.append("delete stack")

    def execute_change_set(self, ChangeSetName: str) -> None:  # noqa: N803
        self.calls.append("execute")
        self.executing = True
        for name, reason in self.failures:
            self._tell(name, "AWS::Lambda::Function", "CREATE_FAILED", reason)

    def describe_stack_events(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        return {"StackEvents": list(reversed(self.events))}

    def _tell(self, name: str, kind: str, status: str, reason: str) -> None:
        self.events.append(
            {
                "EventId": str(len(self.events)),
                "LogicalResourceId": name,
                "ResourceType": kind,
                "ResourceStatus": status,
                "ResourceStatusReason": reason,
            }
        )
