"""What API Gateway answers by itself, on emulators, whose SAM leaves it out."""

from infra.package.deploy.aws import Client
from infra.package.document import Document


def with_gateway_responses(document: Document) -> Document:
    """Let the GatewayResponses of an API be resources of their own. The document is changed, and returned."""
    for name, resource in list(document["Resources"].items()):
        if resource["Type"] == "AWS::Serverless::Api":
            for kind, response in resource["Properties"].get("GatewayResponses", {}).items():
                logical_id = f"{name}{kind.title().replace('_', '')}"
                document["Resources"][logical_id] = _resource(name, kind, response)
    return document


def use_gateway_responses(apis: Client, api: str, stage: str) -> None:
    """Let a stage answer as they say: they count from the next deployment of the API on, and may be newer than it."""
    apis.create_deployment(restApiId=api, stageName=stage)


def _resource(api: str, kind: str, response: Document) -> Document:
    headers = response.get("ResponseParameters", {}).get("Headers", {})
    return {
        "Type": "AWS::ApiGateway::GatewayResponse",
        "Properties": {
            "RestApiId": {"Ref": api},
            "ResponseType": kind,
            "StatusCode": str(response["StatusCode"]),
            "ResponseParameters": {f"gatewayresponse.header.{name}": value for name, value in headers.items()},
            "ResponseTemplates": response["ResponseTemplates"],
        },
    }
