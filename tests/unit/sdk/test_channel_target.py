"""What a target may look like, and which calls a channel repeats by itself."""

import json

import pytest
from taskstate.channel import grpc_target, service_config


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:50051", "127.0.0.1:50051"),
        (" host:1 ", "host:1"),
        ("dns:///taskstate:50051", "dns:///taskstate:50051"),
        ("127.0.0.1:1, 127.0.0.2:2", "ipv4:127.0.0.1:1,127.0.0.2:2"),
        ("localhost:1,localhost:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
    ],
)
def test_target_in_grpc_form(target, expected):
    assert grpc_target(target) == expected


@pytest.mark.parametrize(
    "target", ["", ",", "127.0.0.1:1,", "a:1,b:2", "127.0.0.1,127.0.0.2", "127.0.0.1:x,127.0.0.1:1"]
)
def test_a_target_that_cannot_be_meant_is_refused(target):
    with pytest.raises(ValueError, match=r"target|address"):
        grpc_target(target)


def test_only_idempotent_calls_are_repeated():
    def names(retry_creates):
        (config,) = json.loads(service_config(retry_creates=retry_creates))["methodConfig"]
        return {name["method"] for name in config["name"]}

    assert "CreateTask" not in names(retry_creates=False)
    assert names(retry_creates=True) == names(retry_creates=False) | {"CreateTask"}


def test_every_repeated_call_exists():
    from taskstate.v1 import maintenance_service_pb2, task_service_pb2

    services = {
        service.full_name: set(service.methods_by_name)
        for module in (maintenance_service_pb2, task_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
    }
    (config,) = json.loads(service_config(retry_creates=True))["methodConfig"]
    for name in config["name"]:
        assert name["method"] in services[name["service"]]
