"""Judge the claims of several experiments by their reports, print them and write them to files,
with a table of how each experiment was run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from cvtrain.experiments.claims import Judgement, Status, claims_table, judge
from cvtrain.experiments.registry import experiment
from cvtrain.process.plain_text import say
from cvtrain.report.console import report_console
from cvtrain.report.document import Document, Section, Sentence
from cvtrain.report.export import markdown_table
from cvtrain.report.origin import runs_table
from cvtrain.runs.files import write_atomically
from cvtrain.runs.json_file import write_json
from cvtrain.runs.safe_names import from_here

WORDS: Mapping[Status, str] = {
    "holds": "hold",
    "does not hold": "do not",
    "inconclusive": "are inconclusive",
}
COLOURS: Mapping[Status, str] = {
    "holds": "green",
    "does not hold": "red",
    "inconclusive": "yellow",
}


class JudgedClaims:
    """The judged claims of several experiments.

    Args:
        names: names of the experiments.
        places: name of the directory of each complete experiment, by experiment.
        quick: whether the experiments were run in their quick form.
    """

    def __init__(self, names: Sequence[str], places: Mapping[str, str], quick: bool) -> None:
        self._names, self._places, self._quick = names, places, quick
        self.judgements = self._judged({})
        self.runs = runs_table({})

    def section(self, documents: Mapping[str, Document]) -> Section:
        """Judge the claims by the reports, and make the section of the page about them and about
        how the experiments were run.

        Args:
            documents: reports by the name of their directory.
        """
        self.judgements = self._judged(documents)
        self.runs = runs_table({name: one.origin for name, one in documents.items() if one.origin})
        table = claims_table(self.judgements)
        return Section("Claims", (Sentence(self.summary, (table.name,)),), (table, self.runs))

    @property
    def summary(self) -> str:
        """A sentence with the number of claims that hold."""
        counts = Counter(one.status for one in self.judgements)
        parts = [f"{counts[status]} {word}" for status, word in WORDS.items()]
        return f"Of {len(self.judgements)} claims {', '.join(parts)}."

    def publish(self, folder: Path) -> None:
        """Print the claims, and write them into `folder` as claims.md and claims.json.

        Raises:
            OSError: a file cannot be written.
        """
        console = report_console()
        table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("experiment", no_wrap=True)
        table.add_column("claim")
        table.add_column("status", no_wrap=True)
        table.add_column("measured")
        for one in self.judgements:
            row = one.record
            measured = row["measured"] + (f" ({one.why})" if one.why else "")
            status = Text(one.status, style=COLOURS[one.status])
            table.add_row(one.experiment, one.claim.text, status, measured.strip())
        console.print(table)
        say(self.summary)
        folder.mkdir(parents=True, exist_ok=True)
        tables = (markdown_table(table) for table in (claims_table(self.judgements), self.runs))
        text = "\n\n".join((self.summary, *tables)) + "\n"
        write_atomically(folder / "claims.md", lambda file: file.write(text.encode()))
        write_json(
            folder / "claims.json",
            {
                "quick": self._quick,
                "summary": self.summary,
                "claims": [dict(one.record) for one in self.judgements],
            },
        )
        say(f"claims:   {from_here(folder / 'claims.md')}")

    def _judged(self, documents: Mapping[str, Document]) -> list[Judgement]:
        return [
            judge(name, claim, documents.get(self._places.get(name, "")), self._quick)
            for name in self._names
            for claim in experiment(name).claims
        ]
