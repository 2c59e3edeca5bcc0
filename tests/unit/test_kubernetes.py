"""infra/kubernetes, held against Kubernetes' and KEDA's schemas and against the code. No cluster runs here."""

import functools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import pytest
import yaml

import infra.gateway.__main__
import infra.host.__main__
import infra.triggers.__main__
from functions.convert.app import Settings as ConvertSettings
from functions.shared.metrics import Sink
from functions.shared.options import Quality
from functions.shared.settings import from_env
from infra.metrics import ServerSettings
from infra.rabbitmq.topology import CONSUMER_TIMEOUT_MS
from infra.template import load_template
from tests.deployment import (
    HOSTED,
    OURS,
    ROOT,
    TRIGGERED,
    checked_of,
    endpoints,
    image_of,
    settings_of,
    variables_of,
)
from tests.kustomize import Object, pod_of, render

FOLDER = ROOT / "infra/kubernetes"
DOCS = (ROOT / "docs/kubernetes.md").read_text()
COMPOSE: Object = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
OVERLAYS = {name: render(FOLDER / "overlays" / name) for name in ("dev", "prod")}
DEV, PROD = OVERLAYS["dev"], OVERLAYS["prod"]
BASE = render(FOLDER / "base")
EVERYWHERE = [*DEV, *PROD]

NAME = "app.kubernetes.io/name"
# Where the servers of the overlay dev are in compose.yaml.
SERVERS = {"postgres": "postgres", "mongodb": "mongo", "rabbitmq": "rabbitmq", "mailpit": "mailpit"}
# Made by hand, in both overlays.
KEYS = {"access-keys": {"JWT_KEYS": f"k1={'0' * 64}"}, "link-keys": {"LINK_KEYS": "1" * 64}}


def all_of(kind: str, objects: list[Object] = EVERYWHERE) -> list[Object]:
    """Return the objects of a kind."""
    return [made for made in objects if made["kind"] == kind]


def the(kind: str, name: str, objects: list[Object] = PROD) -> Object:
    """Return the one object of this kind and name."""
    (found,) = [made for made in all_of(kind, objects) if made["metadata"]["name"] == name]
    return found


def workload(process: str, objects: list[Object] = PROD) -> Object:
    """Return what starts the pods of a process of ours."""
    return the("Job" if process == "setup" else "Deployment", process, objects)


def container(process: str, objects: list[Object] = PROD) -> Object:
    """Return the only container of a process of ours."""
    (found,) = pod_of(workload(process, objects))["containers"]
    assert isinstance(found, dict)
    return found


def labels(made: Object) -> dict[str, str]:
    """Return the labels of an object's pods."""
    found: dict[str, str] = made["spec"]["template"]["metadata"]["labels"]
    return found


def titles(made: Any) -> str:
    """Name a test's case."""
    return f"{made['kind']} {made['metadata']['name']}" if isinstance(made, dict) else str(made)


def environment(process: str, objects: list[Object]) -> dict[str, str]:
    """Return what a process finds in its environment, its image's included. Secrets that are not there are made up."""
    maps = {made["metadata"]["name"]: made["data"] for made in all_of("ConfigMap", objects)}
    secrets = {**KEYS, **{made["metadata"]["name"]: made["stringData"] for made in all_of("Secret", DEV)}}
    given = {**image_of(process).env}
    for variable in container(process, objects)["env"]:
        source = variable.get("valueFrom", {})
        value = variable.get("value")
        if reference := source.get("configMapKeyRef"):
            value = maps[reference["name"]][reference["key"]]
        elif reference := source.get("secretKeyRef"):
            value = secrets[reference["name"]][reference["key"]]
        assert isinstance(value, str), variable
        given[variable["name"]] = value
    return given


def secret_keys(objects: list[Object]) -> set[tuple[str, str]]:
    """Return the keys of Secrets that are read, by pods and by KEDA."""
    text = yaml.safe_dump(objects)
    read = [
        variable["valueFrom"]["secretKeyRef"]
        for made in objects
        for each in pod_of(made).get("containers", [])
        for variable in each.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    ]
    assert text.count("secretKeyRef") == len(read)
    read += [key for made in all_of("TriggerAuthentication", objects) for key in made["spec"]["secretTargetRef"]]
    return {(key["name"], key["key"]) for key in read}


_UNITS = {"m": 0.001, "": 1, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


def quantity(text: str) -> float:
    """Read 500m or 22Gi."""
    match = re.fullmatch(r"(\d+)(m|Ki|Mi|Gi|)", text)
    assert match, text
    return int(match[1]) * _UNITS[match[2]]


def seconds_to_end(process: str) -> int:
    """Return how long a pod may take to end."""
    found: int = pod_of(workload(process))["terminationGracePeriodSeconds"]
    return found


# Schemas

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
# https://keda.sh/docs/latest/reference/scaledobject-spec/ and scalers/rabbitmq-queue/, as far as they are used here.
KEDA: dict[str, Object] = {
    "ScaledObject": {
        "required": ["scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {**TEXTS, "required": ["name"]},
            "minReplicaCount": COUNT,
            "maxReplicaCount": COUNT,
            "pollingInterval": COUNT,
            "cooldownPeriod": COUNT,
            "triggers": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "required": ["type", "metadata", "authenticationRef"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "rabbitmq"},
                        "authenticationRef": {**TEXTS, "required": ["name"]},
                        "metadata": {
                            "required": ["queueName", "mode", "value"],
                            "additionalProperties": False,
                            "properties": {
                                "protocol": {"enum": ["auto", "amqp", "http"]},
                                "queueName": {"type": "string"},
                                "vhostName": {"type": "string"},
                                "mode": {"enum": ["QueueLength", "MessageRate"]},
                                # KEDA takes texts only.
                                "value": {"type": "string", "pattern": r"^[1-9]\d*$"},
                                "excludeUnacknowledged": {"enum": ["true", "false"]},
                            },
                        },
                    },
                },
            },
        },
    },
    "TriggerAuthentication": {
        "required": ["secretTargetRef"],
        "additionalProperties": False,
        "properties": {
            "secretTargetRef": {
                "type": "array",
                "items": {
                    "required": ["parameter", "name", "key"],
                    "additionalProperties": False,
                    "properties": {
                        "parameter": {"enum": ["host", "username", "password"]},
                        "name": {"type": "string"},
                        "key": {"type": "string"},
                    },
                },
            }
        },
    },
}


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the schemas, which are megabytes of JSON, from being read again for each object."""
    utils = kubernetes_validate.utils
    monkeypatch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))


# The first with preStop.sleep, and the newest that is known here.
@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.usefixtures("read_once")
def test_every_object_has_the_form_that_kubernetes_knows(overlay: str, version: str):
    """The API server drops or refuses a key that is misspelt."""
    for made in OVERLAYS[overlay]:
        if made["kind"] not in KEDA:
            kubernetes_validate.validate(made, version, strict=True)


@pytest.mark.parametrize("made", [made for made in EVERYWHERE if made["kind"] in KEDA], ids=titles)
def test_every_object_for_keda_has_the_form_that_it_knows(made: Object):
    """KEDA ignores what it does not know, and then scales by its defaults."""
    assert made["apiVersion"] == "keda.sh/v1alpha1"
    assert set(made) == {"apiVersion", "kind", "metadata", "spec"}
    jsonschema.validate(made["spec"], KEDA[made["kind"]])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_two_objects_have_one_name(overlay: str):
    """The second would replace the first."""
    names = [(made["kind"], made["metadata"]["name"]) for made in OVERLAYS[overlay]]

    assert len(names) == len(set(names))


def test_every_file_is_used():
    """One that no kustomization names is never applied."""
    files = {path.relative_to(FOLDER) for path in FOLDER.rglob("*.yaml")}
    for path in FOLDER.rglob("kustomization.yaml"):
        wanted = yaml.safe_load(path.read_text())
        named = [*wanted["resources"], *(patch["path"] for patch in wanted["patches"] if "path" in patch)]
        files -= {path.relative_to(FOLDER), *((path.parent / name).relative_to(FOLDER) for name in named)}

    assert files == set()


# Pods

PODS = [made for made in EVERYWHERE if pod_of(made)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_process_has_one_workload(overlay: str):
    """And there is none without a process."""
    pods = {made["metadata"]["name"] for made in OVERLAYS[overlay] if pod_of(made)}

    assert pods == {*OURS, *(SERVERS if overlay == "dev" else ())}
    for process in OURS:
        assert workload(process, OVERLAYS[overlay])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_function_has_an_image_and_a_tag_of_its_own(overlay: str):
    """One is deployed without the others. A tag that moves would deploy by itself, on some nodes."""
    targets = {COMPOSE[process]["build"]["target"] for process in OURS}
    images = {container(process, OVERLAYS[overlay])["image"].rpartition("/")[2] for process in OURS}
    kustomization = yaml.safe_load((FOLDER / "overlays" / overlay / "kustomization.yaml").read_text())

    assert targets == set(OURS)
    assert [image["name"] for image in kustomization["images"]] == [
        container(process, BASE)["image"]
        for process in ("gateway", "auth", "upload", "download", "page", "convert", "notify", "sweep", "setup")
    ]
    assert len(images) == len(OURS)
    assert not any(image.endswith(":latest") for image in images)


def test_the_images_of_dev_are_those_that_compose_builds_and_runs():
    """They are loaded into the cluster from there."""
    for process in OURS:
        assert container(process, DEV)["image"] == COMPOSE[process]["image"]
    for server, service in SERVERS.items():
        (made,) = [made for made in DEV if pod_of(made) and made["metadata"]["name"] == server]
        (each,) = pod_of(made)["containers"]
        assert each["image"] == COMPOSE[service]["image"]
        given = {variable["name"]: variable["value"] for variable in each.get("env", [])}
        assert given == COMPOSE[service].get("environment", {})


def test_the_namespace_lets_only_restricted_pods_in():
    """It is the last to check what the tests below check.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    for namespace in all_of("Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    namespaces = {made["metadata"].get("namespace") for made in EVERYWHERE if made["kind"] != "Namespace"}
    assert namespaces == {all_of("Namespace")[0]["metadata"]["name"]}


@pytest.mark.parametrize("made", PODS, ids=titles)
def test_a_pod_is_restricted(made: Object):
    """What the namespace refuses would be missed only when nothing starts."""
    pod = pod_of(made)

    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"}.isdisjoint(pod)
    for volume in pod.get("volumes", []):
        assert set(volume) == {"name", "emptyDir"}
    for each in pod["containers"]:
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in each["securityContext"]


@pytest.mark.parametrize("process", OURS)
def test_a_process_of_ours_writes_to_its_own_tmp_and_nowhere_else(process: str):
    """Whoever gets in must not be able to change the code. The user is the image's."""
    pod = pod_of(workload(process))
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"

    assert container(process)["securityContext"]["readOnlyRootFilesystem"] is True
    assert user == image_of(process).instructions["USER"]
    assert [mount["mountPath"] for mount in container(process)["volumeMounts"]] == ["/tmp"]
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"])


@pytest.mark.parametrize("made", PODS, ids=titles)
def test_a_container_says_what_it_needs_and_what_it_may_take(made: Object):
    """Without the first the autoscaler cannot count; without the second one pod can starve the others of its node."""
    for each in pod_of(made)["containers"]:
        requests, limits = each["resources"]["requests"], each["resources"]["limits"]
        assert {"cpu", "memory"} <= set(requests)
        assert {"cpu", "memory"} <= set(limits)
        assert all(quantity(requests[name]) <= quantity(limits[name]) for name in requests)


@pytest.mark.parametrize("made", PODS, ids=titles)
def test_volumes_are_those_that_are_mounted(made: Object):
    """A name that is misspelt keeps the pod from starting."""
    volumes = {volume["name"] for volume in pod_of(made).get("volumes", [])}
    volumes |= {claim["metadata"]["name"] for claim in made["spec"].get("volumeClaimTemplates", [])}

    assert volumes == {mount["name"] for each in pod_of(made)["containers"] for mount in each["volumeMounts"]}


@pytest.mark.parametrize("made", PODS, ids=titles)
def test_pods_are_found_by_the_labels_that_they_have(made: Object):
    """Selectors of two Deployments that fit the same pods would fight about them."""
    if made["kind"] != "Job":
        assert made["spec"]["selector"] == {"matchLabels": {NAME: made["metadata"]["name"]}}
    assert labels(made)[NAME] == made["metadata"]["name"]
    for spread in pod_of(made).get("topologySpreadConstraints", []):
        assert spread["labelSelector"] == {"matchLabels": {NAME: made["metadata"]["name"]}}


@pytest.mark.parametrize("process", OURS)
def test_each_process_has_an_account_without_a_token(process: str):
    """No pod has anything to say to Kubernetes."""
    account = pod_of(workload(process))["serviceAccountName"]

    assert account == process
    assert the("ServiceAccount", account)["automountServiceAccountToken"] is False


# Settings


@pytest.mark.parametrize("process", OURS)
def test_a_process_is_told_only_what_it_reads(process: str):
    """A variable that is misspelt does nothing; a secret that is not needed can only be lost."""
    names = [variable["name"] for variable in container(process)["env"]]

    assert len(names) == len(set(names))
    assert set(names) <= variables_of(process)


@pytest.mark.parametrize("process", OURS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_process_is_told_all_that_it_and_its_functions_need(overlay: str, process: str):
    """What is missing would be seen at the first call of the function that needs it."""
    for struct in settings_of(process):
        from_env(struct, environment(process, OVERLAYS[overlay]))


@pytest.mark.parametrize("process", sorted({*HOSTED, *TRIGGERED}))
def test_setup_checks_what_functions_are_told(process: str):
    """One that cannot be used stops setup, and what it says is seen; a function would end again and again."""
    told, checked = ({variable["name"] for variable in container(each)["env"]} for each in (process, "setup"))

    # Those of one process are not in the ConfigMap, and PUBLIC_URL can be any text.
    assert (told & checked_of(process)) - {"PUBLIC_URL", "HASHES_AT_ONCE"} <= checked


def test_the_converter_holds_no_key_to_anybodys_account():
    """What ffmpeg reads, strangers send. Whoever gets out of it must find neither keys nor passwords of people."""
    held = {variable["name"] for variable in container("convert")["env"] if "secretKeyRef" in str(variable)}

    assert held == {"MONGODB_URL", "AMQP_URL"}


def test_every_setting_is_read_by_somebody():
    """One that is not would be changed in vain."""
    for made in all_of("ConfigMap"):
        objects = DEV if made in DEV else PROD
        read = {
            variable["valueFrom"]["configMapKeyRef"]["key"]
            for process in OURS
            for variable in container(process, objects)["env"]
            if "configMapKeyRef" in variable.get("valueFrom", {})
        }
        assert set(made["data"]) == read


def test_prod_names_its_secrets_and_holds_none():
    """What is in a repository is no secret. The page says how to make each."""
    assert all_of("Secret", PROD) == []
    for name, key in secret_keys(PROD):
        assert re.search(rf"create secret generic {name}\b[^\n]*(\\\n[^\n]*)*--from-literal={key}=", DOCS)


def test_dev_holds_all_secrets_but_the_keys():
    """Those have to be made, so that no two installations share them."""
    held = {(made["metadata"]["name"], key) for made in all_of("Secret", DEV) for key in made["stringData"]}

    assert held | {(name, key) for name, keys in KEYS.items() for key in keys} == secret_keys(DEV)
    assert {name for name, _ in held}.isdisjoint(KEYS)


def _service_ports() -> Iterator[tuple[str, int]]:
    for made in all_of("Service", DEV):
        for port in made["spec"]["ports"]:
            yield made["metadata"]["name"], port["port"]


@pytest.mark.parametrize("secret", all_of("Secret", DEV), ids=titles)
def test_a_url_of_dev_leads_to_a_service(secret: Object):
    """Host and port; KEDA's from another namespace."""
    for url in secret["stringData"].values():
        parts = urlsplit(url)
        assert parts.hostname
        assert (parts.hostname.removesuffix(".video2mp3.svc"), parts.port) in set(_service_ports())


def test_the_urls_of_dev_have_the_passwords_of_the_servers():
    """They are written in two places."""
    servers = COMPOSE["postgres"]["environment"] | COMPOSE["rabbitmq"]["environment"]
    urls = {key: urlsplit(url) for made in all_of("Secret", DEV) for key, url in made["stringData"].items()}

    postgres = urls["POSTGRES_URL"]
    assert (postgres.username, postgres.password) == (servers["POSTGRES_USER"], servers["POSTGRES_PASSWORD"])
    assert postgres.path == f"/{servers['POSTGRES_DB']}"
    for url in (urls["AMQP_URL"], urls["MANAGEMENT_URL"]):
        assert (url.username, url.password) == (servers["RABBITMQ_DEFAULT_USER"], servers["RABBITMQ_DEFAULT_PASS"])


# Calls


def test_the_gateway_calls_each_function_at_its_host():
    """A function that is not named would run in the gateway, which has neither its packages nor its secrets."""
    given = environment("gateway", PROD)["FUNCTION_ENDPOINTS"]

    assert dict(endpoint.split("=", 1) for endpoint in given.split(",")) == endpoints()
    for url in endpoints().values():
        assert (urlsplit(url).hostname, urlsplit(url).port) in set(_service_ports())


@pytest.mark.parametrize("process", ["gateway", *sorted(HOSTED)])
def test_a_server_of_ours_listens_where_it_is_called(process: str):
    """Container port, address, Service and probes."""
    given = environment(process, PROD)
    gateway = from_env(infra.gateway.__main__.Settings, given) if process == "gateway" else None
    settings = gateway or from_env(infra.host.__main__.Settings, given)
    each = container(process)

    assert settings.host == "0.0.0.0"
    assert each["ports"] == [{"name": "http", "containerPort": settings.port}]
    assert image_of(process).instructions["EXPOSE"] == str(settings.port)
    assert the("Service", process)["spec"]["ports"][0]["targetPort"] == "http"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        # Not /readyz: with one server down, all that does not need it is still to be served.
        assert each[probe]["httpGet"] == {"path": "/healthz", "port": "http"}


@pytest.mark.parametrize("process", sorted({*TRIGGERED, "setup"}))
def test_nobody_is_killed_for_what_a_program_beside_him_sees(process: str):
    """It knows nothing of the work under way, and could end a conversion of hours. What it sees is told, no more."""
    each = container(process)
    check = image_of(process).health_check

    assert {"ports", "startupProbe", "livenessProbe"}.isdisjoint(each)
    assert each.get("readinessProbe", {}).get("exec", {}).get("command") == check
    assert (check is not None) == (process in {"convert", "notify"})


@pytest.mark.parametrize("process", OURS)
def test_what_is_run_the_image_says(process: str):
    """In one place, for Compose too."""
    assert {"command", "args", "workingDir"}.isdisjoint(container(process))


@pytest.mark.parametrize("made", all_of("Service"), ids=titles)
def test_a_service_leads_to_pods_and_their_ports(made: Object):
    """Names of ports are compared when somebody calls, not before."""
    pods = [
        other for other in EVERYWHERE if pod_of(other) and made["spec"]["selector"].items() <= labels(other).items()
    ]
    ports = {port["name"] for other in pods for each in pod_of(other)["containers"] for port in each["ports"]}

    assert pods
    assert {port["targetPort"] for port in made["spec"]["ports"]} == ports
    # What can be reached from outside goes through the Ingress.
    assert "type" not in made["spec"]


def test_the_ingress_lets_videos_of_any_size_through():
    """With its defaults nginx takes 1 MB, keeps every body on its disk, and gives up after a minute of silence."""
    (made,) = all_of("Ingress", PROD)
    given = {name.rpartition("/")[2]: value for name, value in made["metadata"]["annotations"].items()}
    gateway = from_env(infra.gateway.__main__.Settings, environment("gateway", PROD))

    assert given["proxy-body-size"] == "0"
    assert given["proxy-request-buffering"] == given["proxy-buffering"] == "off"
    assert int(given["proxy-send-timeout"]) > gateway.answer_idle_s
    assert int(given["proxy-read-timeout"]) > gateway.body_idle_s
    # nginx keeps a connection to us for 60 s; one that we close first may take a request with it.
    assert gateway.keep_alive_s > 60


def test_the_ingress_leads_to_the_gateway_at_the_address_in_e_mails():
    """PUBLIC_URL is what links begin with."""
    (made,) = all_of("Ingress", PROD)
    (rule,) = made["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    public = urlsplit(environment("notify", PROD)["PUBLIC_URL"])

    assert path["backend"] == {"service": {"name": "gateway", "port": {"name": "http"}}}
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert the("Service", "gateway")["spec"]["ports"][0]["name"] == "http"
    assert (public.scheme, public.hostname) == ("https", rule["host"])
    assert made["spec"]["tls"][0]["hosts"] == [rule["host"]]


# Scaling


@pytest.mark.parametrize("process", ["convert", "notify"])
def test_pods_are_counted_by_the_queue_that_the_function_waits_for(process: str):
    """Messages that are being worked on count: without them KEDA would take pods away in mid-conversion."""
    template = load_template()
    (queue,) = [each.queue for each in template.queue_triggers if template.functions[each.function].package == process]
    scaled = the("ScaledObject", process)["spec"]
    (trigger,) = scaled["triggers"]

    assert scaled["scaleTargetRef"] == {"name": process}
    assert trigger["metadata"]["queueName"] == queue
    assert trigger["metadata"]["mode"] == "QueueLength"
    # AMQP does not tell of them.
    assert trigger["metadata"]["protocol"] == "http"
    assert trigger["metadata"]["excludeUnacknowledged"] == "false"
    assert the("TriggerAuthentication", trigger["authenticationRef"]["name"])
    vhost = urlsplit(environment(process, DEV)["AMQP_URL"]).path.removeprefix("/").replace("%2F", "/")
    assert trigger["metadata"]["vhostName"] == vhost


def test_convert_scales_to_zero_and_to_a_pod_for_each_message_that_one_can_take():
    """While nobody uploads, nothing is paid for."""
    scaled = the("ScaledObject", "convert")["spec"]

    assert scaled["minReplicaCount"] == 0
    assert scaled["triggers"][0]["metadata"]["value"] == environment("convert", PROD)["CONVERT_WORKERS"]


@pytest.mark.parametrize("process", ["gateway", "convert", "notify"])
def test_nobody_counts_pods_that_somebody_else_counts(process: str):
    """Each `kubectl apply` would set the number back."""
    assert "replicas" not in workload(process)["spec"]


def test_the_autoscaler_counts_the_gateways_pods():
    """By a share of what they request, so they must request it."""
    (made,) = all_of("HorizontalPodAutoscaler", PROD)

    assert made["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gateway"}
    assert [metric["resource"]["name"] for metric in made["spec"]["metrics"]] == ["cpu"]
    assert made["spec"]["minReplicas"] >= 2


@pytest.mark.parametrize("process", ["gateway", *sorted(HOSTED)])
def test_a_node_can_be_emptied_while_all_is_served(process: str):
    """At most one pod is away, a new one comes before the old one goes, and they are not on the same node."""
    budget = the("PodDisruptionBudget", process)["spec"]
    rolling = workload(process)["spec"]["strategy"]["rollingUpdate"]

    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": labels(workload(process))}}
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    assert workload(process)["spec"].get("replicas", 2) >= 2
    spread = [each["topologyKey"] for each in pod_of(workload(process))["topologySpreadConstraints"]]
    assert spread == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_no_budget_is_for_pods_that_are_not_there():
    """Nor for what may be one pod or none: there it would keep a node from being emptied for hours."""
    assert {made["metadata"]["name"] for made in all_of("PodDisruptionBudget")} == {"gateway", *HOSTED}


def test_there_is_one_sweeper():
    """Two do no harm, but the same work."""
    spec = workload("sweep")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert "sweep" not in [made["spec"]["scaleTargetRef"]["name"] for made in all_of("ScaledObject")]


# Ending


@pytest.mark.parametrize("process", sorted(set(OURS) - {"setup"}))
def test_a_pod_may_take_as_long_to_end_as_its_process_needs(process: str):
    """Kubernetes kills what is not gone by then, in the middle of its work."""
    pause = container(process).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = int(environment(process, PROD)["DRAIN_S"])

    assert seconds_to_end(process) >= pause + drain + infra.triggers.__main__._GRACE_S + 5
    # Only who is called has to wait until nobody calls any more.
    assert (pause > 0) == (process in {"gateway", *HOSTED})


@pytest.mark.parametrize("process", sorted({*HOSTED, *TRIGGERED} - {"convert"}))
def test_a_call_under_way_is_finished(process: str):
    """A call takes as long as template.yaml says."""
    longest = max(each.timeout_s for each in load_template().functions.values() if each.package == process)

    assert int(environment(process, PROD)["DRAIN_S"]) >= longest


def test_a_conversion_under_way_is_finished():
    """As long as RabbitMQ leaves its message with us. Whoever empties nodes is asked to wait."""
    assert int(environment("convert", PROD)["DRAIN_S"]) >= CONSUMER_TIMEOUT_MS / 1000
    asked = workload("convert")["spec"]["template"]["metadata"]["annotations"]
    assert asked["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert asked["karpenter.sh/do-not-disrupt"] == "true"


# Room


def test_there_is_room_for_the_largest_video_and_the_longest_mp3():
    """A pod that takes more disk than it may is evicted, and its conversion begins again, on the next pod."""
    given = environment("convert", PROD)
    (volume,) = pod_of(workload("convert"))["volumes"]
    resources = container("convert")["resources"]
    settings = from_env(ConvertSettings, given)
    best = max(int(quality) for quality in Quality if quality.isdigit())
    largest = int(environment("upload", PROD)["MAX_UPLOAD_BYTES"]) + settings.max_duration_s * best * 1000 / 8

    assert quantity(volume["emptyDir"]["sizeLimit"]) >= largest * int(given["CONVERT_WORKERS"])
    assert "medium" not in volume["emptyDir"]
    assert quantity(resources["requests"]["ephemeral-storage"]) >= quantity(volume["emptyDir"]["sizeLimit"])
    assert quantity(resources["limits"]["ephemeral-storage"]) > quantity(volume["emptyDir"]["sizeLimit"])


def test_setup_can_be_applied_before_the_rest():
    """Its pod would wait for a ConfigMap that comes only after it, and whoever upgrades would wait for the pod."""
    (names,) = re.findall(rf"--selector '{NAME} in \((.*?)\)'", DOCS)
    applied = [made for made in PROD if made["metadata"].get("labels", {}).get(NAME) in names.split(", ")]

    assert workload("setup") in applied
    read = [variable["valueFrom"].get("configMapKeyRef") for variable in container("setup")["env"]]
    assert {reference["name"] for reference in read if reference} == {
        made["metadata"]["name"] for made in all_of("ConfigMap", applied)
    }


def test_setup_can_be_applied_again():
    """A Job cannot be changed: it has to be gone before the next version."""
    spec = the("Job", "setup")["spec"]

    assert spec["ttlSecondsAfterFinished"] <= 3600
    assert spec["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert spec["activeDeadlineSeconds"] >= 600


# Network


def selects(selector: Object, pod: dict[str, str]) -> bool:
    """Say whether a selector fits labels."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    assert all(each["operator"] == "In" for each in selector.get("matchExpressions", []))
    return selector.get("matchLabels", {}).items() <= pod.items() and all(
        pod.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def policies(direction: str, pod: dict[str, str], objects: list[Object]) -> list[Object]:
    """Return the rules, of all policies, for what a pod may call (Egress), or who may call it (Ingress)."""
    return [
        rule
        for policy in all_of("NetworkPolicy", objects)
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod)
        for rule in policy["spec"].get(direction.lower(), [])
    ]


def allows(rules: list[Object], peers: str, pod: dict[str, str], port: int) -> bool:
    """Say whether a rule names a pod of this namespace, with this port."""
    return any(
        any(set(peer) == {"podSelector"} and selects(peer["podSelector"], pod) for peer in rule[peers])
        and port in [each["port"] for each in rule.get("ports", [{"port": port}])]
        for rule in rules
    )


def reached(process: str) -> set[str]:
    """Return the names of what a process reaches in dev."""
    own = labels(workload(process, DEV))
    return {
        other["metadata"]["name"]
        for other in DEV
        if pod_of(other)
        for each in pod_of(other)["containers"]
        for port in each.get("ports", [])
        if allows(policies("Egress", own, DEV), "to", labels(other), port["containerPort"])
        and allows(policies("Ingress", labels(other), DEV), "from", own, port["containerPort"])
    }


@pytest.mark.parametrize("process", sorted(set(OURS) - {"setup"}))
def test_prometheus_finds_the_metrics_of_each_process(process: str):
    """It asks pods by their annotations. No Service and no Ingress leads to that port."""
    given = from_env(ServerSettings, environment(process, PROD))
    asked = workload(process)["spec"]["template"]["metadata"]["annotations"]
    rules = policies("Ingress", labels(workload(process)), PROD)

    assert (given.metrics, given.metrics_host) == (Sink.PROMETHEUS, "0.0.0.0")
    assert (asked["prometheus.io/scrape"], asked["prometheus.io/port"]) == ("true", str(given.metrics_port))
    (rule,) = [rule for rule in rules if given.metrics_port in [port["port"] for port in rule["ports"]]]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    published = [port for made in all_of("Service") for port in made["spec"]["ports"]]
    assert given.metrics_port not in [port["port"] for port in published]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_without_a_policy_nothing_is_reached(overlay: str):
    """A pod that no policy selects may call everything, and be called."""
    deny = the("NetworkPolicy", "default-deny", OVERLAYS[overlay])["spec"]

    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("process", OURS)
def test_a_process_reaches_the_servers_that_it_is_told_of_and_no_others(process: str):
    """convert: MongoDB and RabbitMQ. What is missing would look like a server that is down."""
    told = [url for name, url in environment(process, DEV).items() if name.endswith("_URL") and name != "PUBLIC_URL"]
    servers = {str(urlsplit(url).hostname) for url in told}

    assert reached(process) == servers | (HOSTED if process == "gateway" else set())


@pytest.mark.parametrize("process", OURS)
def test_all_find_the_names_of_servers(process: str):
    """DNS is the one thing outside the namespace that all need, over UDP and, for long answers, TCP."""
    (rule,) = [rule for rule in policies("Egress", labels(workload(process)), PROD) if "kube-dns" in str(rule)]

    assert rule["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


@pytest.mark.parametrize("process", OURS)
def test_in_prod_a_process_reaches_the_same_servers_by_address(process: str):
    """The policies are the same; only where the servers are is another."""
    outside = {
        policy["metadata"]["name"]
        for policy in all_of("NetworkPolicy", PROD)
        if "ipBlock" in str(policy) and selects(policy["spec"]["podSelector"], labels(workload(process)))
    }

    assert outside == {f"to-{name}" for name in (reached(process) - HOSTED) - {"mailpit"}} | (
        {"to-mail"} if process == "notify" else set()
    )
    for rule in policies("Egress", labels(workload(process)), PROD):
        assert rule["to"]
        assert rule["ports"]
        # No policy names pods that are not there.
        for peer in rule["to"]:
            if set(peer) == {"podSelector"}:
                assert any(selects(peer["podSelector"], labels(workload(other))) for other in OURS)


@pytest.mark.parametrize(
    ("policy", "variable"),
    [("to-postgres", "POSTGRES_URL"), ("to-mongodb", "MONGODB_URL"), ("to-rabbitmq", "AMQP_URL")],
)
def test_the_page_and_the_policies_of_prod_name_the_same_ports(policy: str, variable: str):
    """A server that listens elsewhere is as good as down, and nothing says why."""
    (url,) = re.findall(rf"--from-literal={variable}='(.*?)'", DOCS)
    (rule,) = the("NetworkPolicy", policy, PROD)["spec"]["egress"]

    assert rule["ports"] == [{"protocol": "TCP", "port": urlsplit(url).port}]


def test_the_page_names_a_port_of_mail_that_prod_lets_through():
    """Without e-mails nobody hears of his MP3, and only the dead letters tell."""
    (url,) = re.findall(r"--from-literal=SMTP_URL='(.*?)'", DOCS)
    (rule,) = the("NetworkPolicy", "to-mail", PROD)["spec"]["egress"]

    assert {"protocol": "TCP", "port": urlsplit(url).port} in rule["ports"]


def test_only_the_ingress_calls_the_gateway_and_only_the_gateway_calls_hosts():
    """A host believes whoever calls it about who is calling."""

    def callers_of(process: str) -> list[Object]:
        """Who reads metrics calls nothing."""
        metrics = from_env(ServerSettings, environment(process, PROD)).metrics_port
        rules = policies("Ingress", labels(workload(process)), PROD)
        return [rule for rule in rules if [port["port"] for port in rule["ports"]] != [metrics]]

    (from_ingress,) = callers_of("gateway")
    assert from_ingress["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]
    for process in set(OURS) - {"gateway", *HOSTED}:
        assert callers_of(process) == []
    callers = {package: [process for process in OURS if package in reached(process)] for package in HOSTED}
    assert callers == {package: ["gateway"] for package in HOSTED}


def test_keda_reaches_rabbitmqs_management():
    """Otherwise nothing is ever scaled from zero."""
    (pod,) = [labels(made) for made in all_of("StatefulSet", DEV) if made["metadata"]["name"] == "rabbitmq"]
    (rule,) = [rule for rule in policies("Ingress", pod, DEV) if "namespaceSelector" in str(rule)]
    (url,) = [made["stringData"]["MANAGEMENT_URL"] for made in all_of("Secret", DEV) if "MANAGEMENT_URL" in str(made)]

    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]
    assert rule["ports"] == [{"protocol": "TCP", "port": urlsplit(url).port}]
