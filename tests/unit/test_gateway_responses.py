from infra.package.deploy.gateway_responses import with_gateway_responses
from infra.template import load_document


def test_an_emulator_is_told_what_an_api_answers_by_itself():
    """Its SAM leaves that out, and its own answers are no problems that a client would understand."""
    responses = load_document()["Resources"]["Api"]["Properties"]["GatewayResponses"]

    resources = with_gateway_responses(load_document())["Resources"].values()

    told = [each["Properties"] for each in resources if each["Type"] == "AWS::ApiGateway::GatewayResponse"]
    assert [each["ResponseType"] for each in told] == list(responses)
    unauthorized = next(each for each in told if each["ResponseType"] == "UNAUTHORIZED")
    assert unauthorized["RestApiId"] == {"Ref": "Api"}
    assert unauthorized["StatusCode"] == "401"
    assert unauthorized["ResponseParameters"]["gatewayresponse.header.WWW-Authenticate"] == "'Bearer'"
    assert "/problems/invalid-token" in unauthorized["ResponseTemplates"]["application/json"]
