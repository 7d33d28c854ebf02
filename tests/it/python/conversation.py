"""The official Python client against a running server: what its users do. Called by `python.rs` with
KUBECONFIG set; a false statement ends it with a traceback. Must not know how the server is made."""

import base64
import sys
import time

import yaml
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

MANIFEST = sys.argv[1]
NAMESPACE = "python"

config.load_kube_config()
core, apps, rbac = client.CoreV1Api(), client.AppsV1Api(), client.RbacAuthorizationV1Api()


def refused(code, reason, call, *args, **kwargs):
    """The call must be refused so."""
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == code, error
        assert f'"reason":"{reason}"' in error.body, error.body
        return error
    raise AssertionError(f"{call.__name__} was not refused")


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def the_server_says_what_it_is():
    assert client.VersionApi().get_code().git_version.startswith("v1.36")
    assert "v1" in client.CoreApi().get_api_versions().versions
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io"} <= groups
    kinds = {resource.name: resource for resource in core.get_api_resources().resources}
    assert kinds["pods"].short_names == ["po"] and kinds["nodes"].namespaced is False
    names = {item.metadata.name for item in core.list_namespace().items}
    assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= names
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))


def objects_are_written_and_read():
    made = core.create_namespaced_config_map(NAMESPACE, config_map("a", k="1"))
    assert made.metadata.uid and made.metadata.resource_version
    assert made.metadata.managed_fields[0].manager
    create, replace = core.create_namespaced_config_map, core.replace_namespaced_config_map
    refused(409, "AlreadyExists", create, NAMESPACE, config_map("a", k="1"))
    refused(404, "NotFound", core.read_namespaced_config_map, "none", NAMESPACE)
    error = refused(422, "Invalid", create, NAMESPACE, config_map("Not_A_Name"))
    assert "RFC 1123" in error.body

    dry = create(NAMESPACE, config_map("dry"), dry_run="All")
    assert dry.metadata.uid
    refused(404, "NotFound", core.read_namespaced_config_map, "dry", NAMESPACE)

    made.data["k"] = "2"
    newer = replace("a", NAMESPACE, made)
    assert newer.data == {"k": "2"}
    refused(409, "Conflict", replace, "a", NAMESPACE, made)

    generated = client.V1ObjectMeta(generate_name="many-", labels={"set": "many"})
    for _ in range(5):
        create(NAMESPACE, client.V1ConfigMap(metadata=generated))
    listed = core.list_namespaced_config_map
    assert len(listed(NAMESPACE, label_selector="set in (many)").items) == 5
    assert [one.metadata.name for one in listed(NAMESPACE, field_selector="metadata.name=a").items] == ["a"]
    names, page = [], None
    while page is None or page.metadata._continue:
        page = listed(NAMESPACE, limit=2, _continue=page and page.metadata._continue)
        assert len(page.items) <= 2
        names += [one.metadata.name for one in page.items]
    assert names == sorted(names) and len(names) == len(set(names)) >= 6
    core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="set=many")
    assert listed(NAMESPACE, label_selector="set=many").items == []
    refused(400, "BadRequest", listed, NAMESPACE, label_selector="a in")


def every_patch_is_understood():
    def patch(body, kind, **more):
        return core.patch_namespaced_config_map("a", NAMESPACE, body, _content_type=kind, **more)

    merged = patch({"data": {"m": "1", "k": None}}, "application/merge-patch+json")
    assert merged.data == {"m": "1"}
    strategic = patch({"data": {"s": "1"}}, "application/strategic-merge-patch+json")
    assert strategic.data == {"m": "1", "s": "1"}
    listed = patch([{"op": "replace", "path": "/data/m", "value": "2"}], "application/json-patch+json")
    assert listed.data["m"] == "2"
    try:
        patch([{"op": "test", "path": "/data/m", "value": "9"}], "application/json-patch+json")
        raise AssertionError("a failed test of a patch was not refused")
    except ApiException as error:
        assert error.status == 422, error

    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    apply = "application/apply-patch+yaml"
    first = patch({**applied, "data": {"own": "1"}}, apply, field_manager="one")
    assert first.data["own"] == "1"
    other = {**applied, "data": {"own": "2"}}
    error = refused(409, "Conflict", patch, other, apply, field_manager="two")
    assert 'conflict with \\"one\\"' in error.body, error.body
    assert patch(other, apply, field_manager="two", force=True).data["own"] == "2"
    gone = patch(applied, apply, field_manager="two")
    assert "own" not in gone.data and gone.data["m"] == "2"


def changes_are_watched():
    version = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    watcher, seen = watch.Watch(), []
    core.create_namespaced_config_map(NAMESPACE, config_map("w", k="1"))
    core.patch_namespaced_config_map("w", NAMESPACE, {"data": {"k": "2"}})
    core.delete_namespaced_config_map("w", NAMESPACE)
    events = watcher.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=version, timeout_seconds=30
    )
    for event in events:
        assert event["object"].metadata.name == "w", event
        seen.append((event["type"], event["object"].data["k"]))
        if event["type"] == "DELETED":
            watcher.stop()
    assert seen == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")], seen


def workloads_are_scaled_and_owned():
    labels = {"app": "d"}
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels),
        spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="hello")]),
    )
    selector = client.V1LabelSelector(match_labels=labels)
    spec = client.V1DeploymentSpec(replicas=0, selector=selector, template=template)
    made = apps.create_namespaced_deployment(
        NAMESPACE, client.V1Deployment(metadata=client.V1ObjectMeta(name="d"), spec=spec)
    )
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    scale = apps.read_namespaced_deployment_scale("d", NAMESPACE)
    assert not scale.spec.replicas and scale.status.selector == "app=d"
    scale.spec.replicas = 3
    # The Deployment's controller writes as well: what it has written since is no conflict here.
    scale.metadata.resource_version = None
    assert apps.replace_namespaced_deployment_scale("d", NAMESPACE, scale).spec.replicas == 3
    apps.patch_namespaced_deployment_scale("d", NAMESPACE, {"spec": {"replicas": 0}})
    found = apps.read_namespaced_deployment("d", NAMESPACE)
    assert found.spec.replicas == 0 and found.metadata.generation == 3, found

    owner = client.V1OwnerReference(
        api_version="apps/v1", kind="Deployment", name="d", uid=made.metadata.uid
    )
    meta = client.V1ObjectMeta(name="owned", owner_references=[owner])
    core.create_namespaced_config_map(NAMESPACE, client.V1ConfigMap(metadata=meta))
    apps.delete_namespaced_deployment("d", NAMESPACE, propagation_policy="Foreground")
    until(lambda: "owned" not in [m.metadata.name for m in core.list_namespaced_config_map(NAMESPACE).items])


def any_kind_is_found_by_name():
    found = dynamic.DynamicClient(client.ApiClient())
    maps = found.resources.get(api_version="v1", kind="ConfigMap")
    assert found.resources.get(api_version="apps/v1", kind="Deployment").name == "deployments"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dyn"}, "data": {"k": "1"}}
    made = maps.create(body=body, namespace=NAMESPACE)
    assert made.data.k == "1"
    body["data"]["k"] = "2"
    applied = maps.server_side_apply(
        body=body, namespace=NAMESPACE, field_manager="dyn", force_conflicts=True
    )
    assert applied.data.k == "2"
    maps.patch(name="dyn", namespace=NAMESPACE, body={"data": {"k": "3"}}, content_type="application/merge-patch+json")
    assert maps.get(name="dyn", namespace=NAMESPACE).data.k == "3"
    maps.delete(name="dyn", namespace=NAMESPACE)


def access_is_asked_for_and_refused():
    account = client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="reader"))
    core.create_namespaced_service_account(NAMESPACE, account)
    spec = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)
    )
    token = core.create_namespaced_service_account_token("reader", NAMESPACE, spec).status.token
    own = client.Configuration.get_default_copy()
    own.cert_file = own.key_file = None
    own.api_key = {"authorization": token}
    own.api_key_prefix = {"authorization": "Bearer"}
    reader = client.ApiClient(own)
    error = refused(403, "Forbidden", client.CoreV1Api(reader).list_namespaced_config_map, NAMESPACE)
    assert f"system:serviceaccount:{NAMESPACE}:reader" in error.body

    rule = client.V1PolicyRule(api_groups=[""], resources=["configmaps"], verbs=["list"])
    role = client.V1Role(metadata=client.V1ObjectMeta(name="lists"), rules=[rule])
    rbac.create_namespaced_role(NAMESPACE, role)
    binding = client.V1RoleBinding(
        metadata=client.V1ObjectMeta(name="lists"),
        role_ref=client.V1RoleRef(api_group="rbac.authorization.k8s.io", kind="Role", name="lists"),
        subjects=[client.RbacV1Subject(kind="ServiceAccount", name="reader", namespace=NAMESPACE)],
    )
    rbac.create_namespaced_role_binding(NAMESPACE, binding)
    until(lambda: allowed(reader, "list"))
    assert not allowed(reader, "delete")
    assert client.CoreV1Api(reader).list_namespaced_config_map(NAMESPACE).items
    who = client.AuthenticationV1Api(reader).create_self_subject_review(client.V1SelfSubjectReview())
    assert who.status.user_info.username == f"system:serviceaccount:{NAMESPACE}:reader"


def allowed(api, verb):
    asked = client.V1ResourceAttributes(namespace=NAMESPACE, verb=verb, resource="configmaps")
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=asked)
    )
    return client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed


def secrets_are_bytes_and_events_are_told():
    meta = client.V1ObjectMeta(name="s")
    secret = client.V1Secret(metadata=meta, string_data={"word": "open"})
    made = core.create_namespaced_secret(NAMESPACE, secret)
    assert base64.b64decode(made.data["word"]) == b"open" and made.type == "Opaque"


def a_pod_runs_and_answers():
    utils.create_from_yaml(client.ApiClient(), MANIFEST, namespace=NAMESPACE)
    name = next(yaml.safe_load_all(open(MANIFEST)))["metadata"]["name"]

    def ready():
        pod = core.read_namespaced_pod(name, NAMESPACE)
        return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])

    until(ready)
    reasons = [event.reason for event in core.list_namespaced_event(NAMESPACE).items]
    assert "Scheduled" in reasons and "Started" in reasons, reasons
    forward = portforward(core.connect_get_namespaced_pod_portforward, name, NAMESPACE, ports="80")
    socket = forward.socket(80)
    socket.setblocking(True)
    socket.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
    answer = b""
    while chunk := socket.recv(4096):
        answer += chunk
    socket.close()
    assert answer.startswith(b"HTTP/1.1 200") and b"Hello Docker!!" in answer, answer
    until(lambda: "received request" in core.read_namespaced_pod_log(name, NAMESPACE, container="echo"))
    lines = watch.Watch().stream(core.read_namespaced_pod_log, name, NAMESPACE, container="echo")
    assert next(lines).startswith("start server")
    core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
    until(lambda: not core.list_namespaced_pod(NAMESPACE).items)


def a_namespace_takes_all_with_it():
    core.delete_namespace(NAMESPACE)
    until(lambda: NAMESPACE not in [one.metadata.name for one in core.list_namespace().items])


def until(holds):
    """Asks again until it holds; the caller of this script ends it if it never does."""
    while not holds():
        time.sleep(0.02)


the_server_says_what_it_is()
objects_are_written_and_read()
every_patch_is_understood()
changes_are_watched()
workloads_are_scaled_and_owned()
any_kind_is_found_by_name()
access_is_asked_for_and_refused()
secrets_are_bytes_and_events_are_told()
a_pod_runs_and_answers()
a_namespace_takes_all_with_it()
print("all said")
