"""Several sweeps on one page: what is kept of each, and under which names."""

from __future__ import annotations

from matplotlib.figure import Figure

from cvtrain.report.cells import words
from cvtrain.report.combined import combined, common_directory, sweep_names
from cvtrain.report.document import Document, Picture, Section, Sentence, Table


def table(name, detail=False):
    return Table(name, name, (words("x", "x"),), ({"x": "1"},), numbered=True, detail=detail)


def document(name):
    return Document(
        title=f"About {name}",
        verdict=(Sentence(f"{name}: yes.", ("main 1",)), Sentence("And no.", ("long 1",))),
        sections=(
            Section("SGD", (Sentence("one.", ("main 1",)),), (table("main"),)),
            Section(
                "Adam",
                (Sentence("two."),),
                (table("long", detail=True),),
                (Picture("first", "", Figure()), Picture("second", "", Figure())),
            ),
        ),
        notes=("1 of 2 runs failed",),
        broken=("a claim",),
        facts={"answer": name},
    )


WHOLE = combined({"one": document("one"), "two": document("two")}, "Both", [])


def test_each_sweep_has_a_paragraph_that_begins_with_its_name_once():
    assert [str(sentence) for sentence in WHOLE.verdict] == [
        "one: yes. And no. [one_main 1]",
        "two: yes. And no. [two_main 1]",
    ]


def test_sentences_keep_the_section_that_they_are_from():
    assert [sentence.text for sentence in WHOLE.sections[0].sentences] == [
        "SGD — one.",
        "Adam — two.",
    ]


def test_long_tables_and_all_but_the_first_figure_stay_with_the_sweep():
    assert [table.name for table in WHOLE.tables] == ["one_main", "two_main"]
    assert [table.name for table in WHOLE.pictures] == ["one_first", "two_first"]


def test_sentences_on_all_of_them_are_in_the_verdict_and_leave_no_empty_section():
    said = Section("What changed", (Sentence("No point is in both."),))
    measured = Section("What changed", (Sentence("All are equal."),), (table("changes"),))
    for more, titles in ((said, []), (measured, ["What changed"])):
        whole = combined({"one": document("one")}, "One", [more])
        assert whole.verdict[0] == more.sentences[0]
        assert [part.title for part in whole.sections] == [*titles, "one: About one"]
        assert all(part.sentences or part.tables or part.pictures for part in whole.sections)


def test_notes_and_broken_claims_say_whose_they_are():
    assert WHOLE.notes == ("one: 1 of 2 runs failed", "two: 1 of 2 runs failed")
    assert WHOLE.failure() == "2 claims do not hold: one: a claim; two: a claim"
    assert WHOLE.facts == {"one": {"answer": "one"}, "two": {"answer": "two"}}


def test_sweeps_are_called_by_as_much_of_their_path_as_tells_them_apart(tmp_path):
    paths = [tmp_path / "a" / "x", tmp_path / "b" / "x"]
    assert sweep_names(paths) == ["a/x", "b/x"]
    assert sweep_names([tmp_path / "x", tmp_path / "y"]) == ["x", "y"]
    assert common_directory(paths) == tmp_path.resolve()
