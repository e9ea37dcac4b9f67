"""The program itself: ``python -m services.topics``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from libs.topics import catalog

if TYPE_CHECKING:
    from devstack.stack import Stack

CHECKOUT = Path(__file__).parents[3]


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "services.topics"),
        cwd=CHECKOUT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | variables
        | {"FLEETLOG_LOG_FORMAT": "json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_topic_of_the_catalog_exists_afterwards(brokers: Stack) -> None:
    done = run(**brokers.env("topics"))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "topics ready"
    present = AdminClient({"bootstrap.servers": brokers.kafka}).list_topics(timeout=10).topics
    assert {topic.name: topic.partitions or brokers.partitions for topic in catalog.TOPICS} == {
        topic.name: len(present[topic.name].partitions) for topic in catalog.TOPICS
    }


def test_an_installation_with_another_partition_count_is_refused(brokers: Stack) -> None:
    done = run(**brokers.env("topics") | {"FLEETLOG_KAFKA_PARTITIONS": "9"})
    assert done.returncode == 78
    problems = [json.loads(line)["problem"] for line in done.stdout.splitlines()]
    keyed = [topic for topic in catalog.TOPICS if topic.partitions is None]
    assert len(problems) == len(keyed)
    assert problems[0].startswith(f"topic {keyed[0].name} has {brokers.partitions} partitions where 9 are wanted")


def test_a_kafka_that_does_not_answer_ends_in_69() -> None:
    done = run(FLEETLOG_KAFKA_BOOTSTRAP="127.0.0.1:1", FLEETLOG_PATIENCE="1")
    assert done.returncode == 69
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "topics not created"


def test_a_misspelt_variable_ends_in_78_before_anything_else() -> None:
    done = run(FLEETLOG_KAFKA_BOOTSTRP="127.0.0.1:1")
    assert done.returncode == 78
    assert done.stdout == ""
    assert "did you mean FLEETLOG_KAFKA_BOOTSTRAP?" in done.stderr
