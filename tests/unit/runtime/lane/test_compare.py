"""Comparing what a lane left behind with the replay of its inbox: repetitions are no difference, all else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.runtime.lane.compare import compare, identity
from libs.runtime.lane.model import send
from libs.runtime.lane.replay import replay
from libs.runtime.lane.rows import PREFIX
from tests.unit.runtime.lane.celled import CELLED, celled_inboxes
from tests.unit.runtime.lane.lab import LETTERS, OUT, Lab, Record, Sent, broadcast, event, events
from tests.unit.runtime.lane.test_replay import MAX_ROW, crash, live

if TYPE_CHECKING:
    from collections.abc import Iterable

INBOX = [*events(b"a", range(3)), event(b"b", 3), broadcast(4, "everything"), event(b"c", 5, "delete")]


def differences(inbox: list[Record], changelog: list[Record], sent: Iterable[Sent], **options: Any) -> list[str]:
    replayed = replay(Lab(max_row=MAX_ROW, max_output=1000, **options).lane, [(0, inbox)])
    logs: dict[str, list[Record]] = {OUT: [], LETTERS: []}
    for topic, key, value, _ in sent:
        logs[topic].append(Record(key, value, 0))
    return compare(replayed, {0: changelog}, logs)


@pytest.fixture
def changelog() -> list[Record]:
    batches, _ = live(INBOX, [], 1, 2)
    return [record for batch in batches for record in batch.changelog]


@pytest.fixture
def sent() -> list[Sent]:
    return live(INBOX, [], 1, 2)[1].producer.sent


@given(inbox=celled_inboxes(), sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)), data=st.data())
def test_what_a_crash_and_its_replay_leave_behind_is_exact(
    inbox: list[Record], sizes: tuple[int, int], data: st.DataObject
) -> None:
    batches, _ = live(inbox, [], 1, sizes[0], **CELLED)
    cut = data.draw(st.integers(0, sum(len(batch.changelog) for batch in batches)))
    outputs, changelog, committed = crash(batches, cut)
    more, lab = live(inbox[committed:], changelog, 2, sizes[1], **CELLED)
    changelog = changelog + [record for batch in more for record in batch.changelog]
    assert differences(inbox, changelog, [*outputs, *lab.producer.sent], **CELLED) == []


def test_nothing_is_missing_in_what_was_never_written() -> None:
    assert differences([], [], []) == []


def test_a_row_with_other_content_or_another_offset_is_told(changelog: list[Record], sent: list[Sent]) -> None:
    other = Lab().lane.codec
    [last] = [record for record in changelog if record.key == b"b"][-1:]
    assert last.value is not None
    row = other.thaw(last.value)
    row.offset -= 1
    forged = last._replace(value=last.value[:PREFIX] + other.encode(row))
    [sentence] = differences(INBOX, [*changelog, forged], sent)
    assert sentence.startswith("row b'b' of partition 0 is Thing(")


def test_a_row_that_is_missing_and_one_too_many_are_told(changelog: list[Record], sent: list[Sent]) -> None:
    [missing] = differences(INBOX, [record for record in changelog if record.key != b"b"], sent)
    assert missing.startswith("row b'b' of partition 0 is None, replayed it is Thing(")
    [last] = [record for record in changelog if record.key == b"b"][-1:]
    [foreign] = differences(INBOX, [*changelog, last._replace(key=b"z")], sent)
    assert foreign.startswith("row b'z' of partition 0 is Thing(")
    assert foreign.endswith("replayed it is None")


def test_another_shared_row_is_told(changelog: list[Record], sent: list[Sent]) -> None:
    inbox = [*INBOX, broadcast(6, "none")]
    [sentence] = differences(inbox, changelog, sent)
    assert sentence.startswith("the shared row of partition 0 is SharedRow(")


def test_a_cell_with_other_content_and_one_that_is_missing_are_told() -> None:
    inbox = [broadcast(0, "none", cells={"p": "red", "q": "blue"})]
    lab, other = Lab(**CELLED), Lab(**CELLED)
    lab.feed(*inbox)
    head, *own = lab.deliver()
    other.feed(broadcast(0, "none", cells={"p": "green"}))
    told = differences(inbox, [head, other.deliver()[1]], lab.producer.sent, **CELLED)
    assert [sentence.split(" is ")[0] for sentence in told] == [
        "cell 'p' of partition 0",
        "cell 'q' of partition 0",
    ]
    assert told[1].startswith("cell 'q' of partition 0 is None, replayed it is Cell(")
    assert differences(inbox, [head, *own], lab.producer.sent, **CELLED) == []


def test_outputs_that_are_missing_foreign_or_out_of_order_are_told(changelog: list[Record], sent: list[Sent]) -> None:
    [missing] = differences(INBOX, changelog, sent[1:])
    assert missing == f"{OUT} lacks {sent[0].value!r} of b'a'"
    [foreign] = differences(INBOX, changelog, [*sent, Sent(OUT, b"a", b"?")])
    assert foreign == f"{OUT} has b'?' of b'a', which no replay says"
    [order] = differences(INBOX, changelog, [sent[1], sent[0], *sent[2:]])
    assert order == f"{OUT} has the messages of b'a' in another order than the replay"


def test_repetitions_are_no_difference(changelog: list[Record], sent: list[Sent]) -> None:
    assert differences(INBOX, changelog, [*sent, *sent[1:]]) == []


def test_a_topic_that_nobody_looked_at_counts_as_empty(changelog: list[Record]) -> None:
    replayed = replay(Lab().lane, [(0, INBOX)])
    told = compare(replayed, {0: changelog}, {})
    assert len(told) == len(replayed.outputs[OUT])
    assert all(sentence.startswith(f"{OUT} lacks") for sentence in told)
    assert compare(replayed, {0: changelog}, {}, only=lambda key: key == b"nobody") == []


def test_one_identity_with_two_contents_is_told(changelog: list[Record], sent: list[Sent]) -> None:
    two = [Sent(OUT, b"z", b'{"id":"7","n":1}'), Sent(OUT, b"z", b'{"id":"7","n":2}')]
    told = differences(INBOX, changelog, [*sent, *two])
    assert f"{OUT} has two contents under '7'" in told
    assert len(told) == 2, "and that no replay says it"


def test_a_message_is_told_by_its_id_or_by_all_of_it() -> None:
    assert identity(b'{"type":"x","id":"presence.inbox-0-7-0"}') == "presence.inbox-0-7-0"
    assert identity(b'{"type":"x"}') == b'{"type":"x"}'
    assert identity(b"\xff") == b"\xff"


NUMBERS = [event(b"a", n) for n in range(3)]


def told_of(order: list[int], contents: list[bytes]) -> list[str]:
    """Compare a log that has these of the contents, in that order, with a replay that says each once."""
    lab = Lab()
    lab.feed(*NUMBERS)
    replayed = replay(lab.lane, [(0, NUMBERS)])
    replayed.outputs[OUT] = [send(OUT, b"a", value) for value in contents]
    return compare(replayed, {0: lab.deliver()}, {OUT: [Record(b"a", contents[n], 0) for n in order]})


WITH_IDS, WITHOUT = ([b'{"%s":"%d"}' % (name, n) for n in range(3)] for name in (b"id", b"n"))


@pytest.mark.parametrize("contents", [WITH_IDS, WITHOUT])
@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 0, 1, 2], [0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2], [0, 1, 1, 0, 1, 2]])
def test_a_repetition_may_stand_where_a_crash_leaves_one(order: list[int], contents: list[bytes]) -> None:
    assert told_of(order, contents) == []


def test_a_log_ends_as_its_replay(changelog: list[Record], sent: list[Sent]) -> None:
    assert told_of([0, 1, 2, 1], WITHOUT) == [f"{OUT} ends with {WITHOUT[1]!r} of b'a', the replay with {WITHOUT[2]!r}"]
    assert told_of([0, 1, 2, 0], WITH_IDS) == [
        f"{OUT} ends with {WITH_IDS[0]!r} of b'a', the replay with {WITH_IDS[2]!r}"
    ]
    assert differences(INBOX, changelog, [*sent, sent[0]]) != []


def test_a_repetition_that_does_not_go_on_from_where_it_began_is_told() -> None:
    assert told_of([0, 1, 0, 2], WITH_IDS) == [f"{OUT} has the messages of b'a' in another order than the replay"]
