"""The list of every claim: which report decides one, and what is said of those that are open."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamlib.companion.report.cards import Card, Claim
from dreamlib.companion.report.ledger import Takes, in_words, ledger, lines
from dreamlib.companion.report.offline import assert_offline

UNSEEN = "not measured here"


def card(profile: str, *claims: tuple[str, bool | None, str]) -> Card:
    files = {"page": Path("reports", profile, "dm", "tableT1.html")} if profile != "blank" else {}
    return Card(profile, "dm", "tableT1", claims=tuple(Claim(*one) for one in claims), files=files)


BLANK = card("blank", ("A", None, UNSEEN), ("B", None, f"MNIST, 1: {UNSEEN}; MNIST, 10: {UNSEEN}"))


@pytest.mark.parametrize(
    ("paper", "cpu", "word", "profile"),
    [
        ((True, "+2.0 points"), (False, "−1.0 points"), "holds", "paper"),
        ((None, "+2.0 points, one set"), (False, "−1.0 points"), "does not hold", "cpu"),
        ((None, "+2.0 points, one set"), (None, "+1.0 points, one set"), "not decided", "paper"),
        ((None, UNSEEN), (None, "+1.0 points, one set"), "not decided", "cpu"),
        ((None, UNSEEN), (None, UNSEEN), "not measured", "paper"),
    ],
    ids=["published first", "what decides", "published open", "what there is", "nothing"],
)
def test_the_report_that_decides_a_claim_is_the_one_shown(
    paper: tuple[bool | None, str], cpu: tuple[bool | None, str], word: str, profile: str
) -> None:
    found = lines([card("paper", ("A", *paper)), card("cpu", ("A", *cpu))], BLANK)
    assert [line.claim.text for line in found] == ["A", "B"]
    assert (found[0].word, found[0].card and found[0].card.profile) == (word, profile)
    assert (found[1].word, found[1].card) == ("not measured", None)


@pytest.mark.parametrize(
    "why",
    [
        "a judgement of the eye: the images are below",
        "GTN is not implemented",
        "no measurement of this profile decides it: DM's width is 32, not 128",
    ],
)
def test_what_no_measurement_decides_is_not_called_unmeasured_and_does_not_wait(why: str) -> None:
    for told in (why, f"Digits, IPC 10: {why}", f"CIFAR-10: {why}"):
        (line,) = lines([], card("blank", ("A", None, told)))
        assert (line.word, line.claim.evidence, line.waits) == ("not decided", why, False)
    # A report that says the same waits for nothing either; another that is open does.
    for evidence, waits in ((f"+1.0 points; {why}", False), ("+1.0 points over 2 sets", True)):
        (line,) = lines([card("cpu", ("A", None, evidence))], card("blank"))
        assert (line.word, line.waits) == ("not decided", waits)


@pytest.mark.parametrize("holds", [True, False, None])
def test_what_a_page_finds_without_records_is_no_verdict(holds: bool | None) -> None:
    # It ran at the least scale, and may have timed something by the way.
    (line,) = lines([], card("blank", ("A", holds, "Digits: 30 %")))
    assert (line.word, line.claim.holds, line.claim.evidence) == ("not measured", None, "")


def test_the_list_is_written_for_code_hosts_and_for_browsers(tmp_path: Path) -> None:
    own = card("cpu", ("A | 194*4*4 is <best>", True, "+2.0 points"))
    items = {
        ("dm", "tableT1"): lines([own], BLANK),
        ("dim", "table4"): lines([], BLANK),
        ("dim", "figure4"): lines([own], card("blank")),
    }
    takes = {
        ("dm", "tableT1"): Takes("make dm-tableT1", 3, 4, 2, 7200.0, "2.0 h"),
        ("dim", "table4"): Takes("make dim-table4", 5, 5, 1, None, "not known"),
        ("dim", "figure4"): Takes("make dim-figure4", 1, 1, 1, 60.0, "60 s"),
    }
    written = ledger(tmp_path, items, takes)
    assert written == [tmp_path / "claims.md", tmp_path / "claims.html"]
    text, page = (path.read_text() for path in written)
    assert r"| A \| 194\*4\*4 is \<best\> | [holds](cpu/dm/tableT1.html) (`cpu`) | +2.0 points |" in text
    assert "| DM | 3 claims: 1 holds, 2 are not measured |" in text
    assert "| all | 6 claims: 2 hold, 4 are not measured |" in text
    # The cheapest first, and what is not known last; an item with nothing open is left out.
    asked = [line for line in text.splitlines() if line.startswith("| `make")]
    assert asked == [
        "| `make dm-tableT1` | 2 | 3 of 4 | 2 | 2.0 h |",
        "| `make dim-table4` | 2 | 5 of 5 | 1 | not known |",
    ]
    assert_offline(page)
    assert '<a href="cpu/dm/tableT1.html">holds</a>' in page
    assert "A | 194*4*4 is &lt;best&gt;" in page


def test_counts_are_said_in_words() -> None:
    one = card("cpu", ("A", True, ""), ("B", True, ""), ("C", False, ""), ("D", None, "+1.0 points"))
    assert in_words(lines([one], BLANK)) == "4 claims: 2 hold, 1 does not hold, 1 is not decided"
    assert in_words(lines([], BLANK)) == "2 claims: 2 are not measured"
