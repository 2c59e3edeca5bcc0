"""Turn template.yaml into plain CloudFormation, as AWS does with it: python -m infra.package.transform [FILE].

What SAM would refuse at a deployment is refused here. cfn-lint runs the same translator, but keeps some of what it says
to itself. Nothing is asked of AWS.
"""

import copy
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

from infra.package.document import with_code
from infra.template import TEMPLATE, InvalidTemplate, load_document

# Of what AWS is like there, the translator needs the region's partition only.
_REGION = "eu-central-1"


class _NoManagedPolicies:
    """Knows no policy by its name. The template writes its own."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a template's document becomes. Raises InvalidTemplate."""
    # It says of a switch for its own makers that it is not there.
    logging.getLogger("samtranslator.feature_toggle").setLevel(logging.ERROR)
    os.environ.setdefault("AWS_DEFAULT_REGION", _REGION)
    # It wants the code in S3, where it is at a deployment.
    given = with_code(copy.deepcopy(document), lambda package: f"s3://artifacts/{package}.zip")
    try:
        result: dict[str, Any] = transform(given, {}, _NoManagedPolicies())
    except InvalidDocumentException as error:
        raise InvalidTemplate("\n".join(each.message for each in error.causes)) from error
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 1 if the template cannot be deployed, which is said on stderr."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        transformed(load_document(Path(given[0]) if given else TEMPLATE))
    except InvalidTemplate as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
