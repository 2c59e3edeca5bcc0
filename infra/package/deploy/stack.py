"""A stack of CloudFormation, changed by change sets: what would happen is known before it happens."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from infra.package.deploy.aws import Client
from infra.package.deploy.failures import CannotDeploy, code_of

_TIMEOUT_S: Final = 3600
_NOTHING: Final = ("didn't contain changes", "No updates are to be performed")
# What is left of a deployment that failed.
_LEFT: Final = {
    "ROLLBACK_COMPLETE": "What was made is taken away again.",
    "UPDATE_ROLLBACK_COMPLETE": "The stack is as it was before.",
}
# What follows from another failure explains nothing.
_CANCELLED: Final = ("cancelled", "canceled")


@dataclass(frozen=True)
class Change:
    """What would happen to one resource. `replaced` is whether it would be another one after that: yes, no, perhaps."""

    action: str
    name: str
    kind: str
    replaced: str


@dataclass(frozen=True)
class ChangeSet:
    """Changes that are ready to be made. `is_new` is whether there was no stack."""

    arn: str
    changes: Sequence[Change]
    is_new: bool


class Stack:
    """One by its name. `say` is told how it goes on; `poll_s` is how often to look."""

    def __init__(self, client: Client, name: str, *, poll_s: float, say: Callable[[str], None]) -> None:
        self._client = client
        self._name = name
        self._poll_s = poll_s
        self._say = say

    def is_new(self) -> bool:
        """Return whether the stack must be created. Raises CannotDeploy if it is in no state to be changed."""
        status = (self._describe() or {}).get("StackStatus", "")
        if status in {"", "REVIEW_IN_PROGRESS"}:
            return True
        if status.endswith("_IN_PROGRESS"):
            raise CannotDeploy(f"{self._name} is just being changed ({status}). Try again when that has ended.")
        if status == "UPDATE_ROLLBACK_FAILED":
            raise CannotDeploy(
                f"{self._name} could not be brought back after a failure ({status}). Look why, and then: "
                f"{self._command('continue-update-rollback')}"
            )
        if status == "DELETE_FAILED":
            raise CannotDeploy(
                f"{self._name} is deleted in part ({status}): a bucket that is not empty stays. Empty it, delete the "
                f"stack again, and deploy: {self._command('delete-stack')}"
            )
        if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}:
            raise CannotDeploy(
                f"{self._name} was never made whole ({status}), so it cannot be changed. Delete it, and deploy again: "
                f"{self._command('delete-stack')}"
            )
        return False

    def outputs(self) -> dict[str, str]:
        """Return what the stack says of itself; nothing if there is none."""
        found = self._describe() or {}
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def prepare(self, template_url: str, parameters: Mapping[str, str]) -> ChangeSet | None:
        """Let CloudFormation find out what a template in S3 would change; None if nothing. Raises CannotDeploy."""
        is_new = self.is_new()
        self._say(f"{self._name}: asking CloudFormation what would change")
        arn = self._client.create_change_set(
            StackName=self._name,
            ChangeSetName=f"deploy-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}",
            ChangeSetType="CREATE" if is_new else "UPDATE",
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )["Id"]
        found = self._wait(
            lambda: self._client.describe_change_set(ChangeSetName=arn),
            lambda answer: answer["Status"] in {"CREATE_COMPLETE", "FAILED"},
        )
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            self.drop(ChangeSet(arn, (), is_new))
            if any(words in reason for words in _NOTHING):
                return None
            raise CannotDeploy(f"CloudFormation refuses the change: {reason}")
        changes = self._changes(arn)
        if not changes and not is_new:
            self.drop(ChangeSet(arn, (), is_new))
            return None
        return ChangeSet(arn, changes, is_new)

    def drop(self, change_set: ChangeSet) -> None:
        """Forget about changes, and about a stack that was only thought of."""
        self._client.delete_change_set(ChangeSetName=change_set.arn)
        if change_set.is_new:
            self._client.delete_stack(StackName=self._name)

    def execute(self, change_set: ChangeSet) -> None:
        """Make the changes, and wait until they are made. Raises CannotDeploy with what failed."""
        seen = {event["EventId"] for event in self._events()}
        self._client.execute_change_set(ChangeSetName=change_set.arn)
        try:
            failure = self._follow(seen)
        except BaseException:
            # Interrupted, or no longer logged in.
            self._say(
                f"CloudFormation goes on with {self._name} by itself. See how far it is: "
                f"{self._command('describe-stack-events')}"
            )
            raise
        status = (self._describe() or {}).get("StackStatus", "gone")
        if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            left = _LEFT.get(status, "It could not be taken back either.")
            raise CannotDeploy(f"{failure or 'CloudFormation gave no reason.'}\n{left} ({self._name}: {status})")

    def _follow(self, seen: set[str]) -> str | None:
        """Tell what happens until nothing more does. Return the first failure."""
        failure = None
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            # The state first: what happened before it is then told.
            status = (self._describe() or {}).get("StackStatus", "gone")
            for event in self._events():
                if event["EventId"] in seen:
                    continue
                seen.add(event["EventId"])
                name, state = event["LogicalResourceId"], event["ResourceStatus"]
                reason = event.get("ResourceStatusReason", "")
                if state.endswith("_FAILED") and not any(words in reason for words in _CANCELLED):
                    failure = failure or f"{name} ({event['ResourceType']}): {reason or state}"
                if not state.endswith("_IN_PROGRESS") or name == self._name:
                    self._say(f"  {state:<28} {name}{f': {reason}' if state.endswith('_FAILED') else ''}")
            if not status.endswith("_IN_PROGRESS"):
                return failure
            if time.monotonic() > deadline:
                raise CannotDeploy(f"{self._name} is not ready after an hour.")
            time.sleep(self._poll_s)

    def _command(self, what: str) -> str:
        # Whoever copies it may be in another region.
        return f"aws cloudformation {what} --region {self._client.meta.region_name} --stack-name {self._name}"

    def _describe(self) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._client.describe_stacks(StackName=self._name)["Stacks"][0]
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def _events(self) -> list[Mapping[str, Any]]:
        """Return the newest events, the oldest of them first. Between two looks there is no more than a page."""
        try:
            events = self._client.describe_stack_events(StackName=self._name)["StackEvents"]
        except ClientError as error:
            if code_of(error) == "ValidationError" and "does not exist" in str(error):
                return []
            raise
        return list(reversed(events))

    def _changes(self, arn: str) -> list[Change]:
        changes = []
        page: dict[str, str] = {}
        while True:
            found = self._client.describe_change_set(ChangeSetName=arn, **page)
            for entry in found.get("Changes", []):
                change = entry["ResourceChange"]
                replaced = {"True": "yes", "Conditional": "perhaps"}.get(change.get("Replacement", ""), "no")
                changes.append(
                    Change(change["Action"].lower(), change["LogicalResourceId"], change["ResourceType"], replaced)
                )
            if not found.get("NextToken"):
                return changes
            page = {"NextToken": found["NextToken"]}

    def _wait(
        self, ask: Callable[[], Mapping[str, Any]], is_done: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any]:
        deadline = time.monotonic() + _TIMEOUT_S
        while not is_done(answer := ask()):
            if time.monotonic() > deadline:
                raise CannotDeploy(f"CloudFormation has not answered for an hour what would change in {self._name}.")
            time.sleep(self._poll_s)
        return answer
