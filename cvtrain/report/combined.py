"""One report on several sweeps: the verdict, main tables and first figure of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cvtrain.report.document import Document, Section, Sentence
from cvtrain.runs.safe_names import resolved


def combined(documents: Mapping[str, Document], title: str, more: Sequence[Section]) -> Document:
    """Combine the reports on several sweeps; details stay in their own reports.

    Args:
        documents: reports by name of the sweep, which is put before the names of their tables and
            figures.
        title: title of the combined report.
        more: sections on all sweeps. They come first and their sentences join the verdict; a
            section that has only sentences is not shown again.
    """
    parts = [_part(name, document) for name, document in documents.items()]
    return Document(
        title=title,
        verdict=(
            *(sentence for section in more for sentence in section.sentences),
            *(
                _answer(name, document, part)
                for (name, document), part in zip(documents.items(), parts, strict=True)
                if document.verdict
            ),
        ),
        sections=(
            *(replace(part, sentences=()) for part in more if part.tables or part.pictures),
            *parts,
        ),
        notes=tuple(f"{name}: {note}" for name, one in documents.items() for note in one.notes),
        broken=tuple(f"{name}: {claim}" for name, one in documents.items() for claim in one.broken),
        facts={
            name: {
                **document.facts,
                **({"origin": document.origin.facts} if document.origin else {}),
            }
            for name, document in documents.items()
        },
    )


def sweep_names(directories: Sequence[Path]) -> list[str]:
    """A distinct name for each directory: the last parts of its path, as many as are needed."""
    paths = [resolved(directory).parts for directory in directories]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path[-1]} ({number})" for number, path in enumerate(paths, start=1)]


def common_directory(directories: Sequence[Path]) -> Path:
    """The deepest directory that contains all of them."""
    parents = [set(resolved(directory).parents) for directory in directories]
    return max(set.intersection(*parents), key=lambda path: len(path.parts))


def _part(name: str, document: Document) -> Section:
    tables = [table for table in document.tables if not table.detail]
    part = Section(
        f"{name}: {document.title}",
        tables=tuple(replace(table, name=_joined(name, table.name)) for table in tables),
        pictures=tuple(
            replace(picture, name=_joined(name, picture.name)) for picture in document.pictures[:1]
        ),
    )
    run = () if document.origin is None else (Sentence(document.origin.sentence),)
    sections = [section for section in document.sections if section.sentences]
    sentences = (
        Sentence(
            f"{section.title} — {one.text}" if len(sections) > 1 else one.text,
            _sources(name, part, one),
        )
        for section in sections
        for one in section.sentences
    )
    return replace(part, sentences=(*run, *sentences))


def _answer(name: str, document: Document, part: Section) -> Sentence:
    """The verdict of a report in one paragraph that begins with the name of its sweep."""
    texts = (sentence.text.removeprefix(f"{name}: ") for sentence in document.verdict)
    sources = (source for one in document.verdict for source in _sources(name, part, one))
    return Sentence(f"{name}: {' '.join(texts)}", tuple(dict.fromkeys(sources)))


def _sources(name: str, part: Section, sentence: Sentence) -> tuple[str, ...]:
    """The sources of a sentence that the combined report contains, by their names in it."""
    tables = {table.name for table in part.tables}
    renamed = (_joined(name, source) for source in sentence.sources)
    return tuple(source for source in renamed if source.split(" ")[0] in tables)


def _joined(name: str, own: str) -> str:
    """Put the name of the sweep before the name of a table or figure, unless that begins with
    it."""
    slug = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    return own if own.startswith(slug) else f"{slug}_{own}"
