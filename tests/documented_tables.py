"""The tables of docs/ that come from the code; `python tests/documented_tables.py` writes them.

A document holds a table between the lines `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import yaml

from cvtrain.laws.frameworks import FRAMEWORKS
from cvtrain.laws.table import CLASSES, CLIP_EXPONENTS, LAWS, Law, defaults

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
DOCS = ROOT / "docs"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
SETTING = re.compile(r"^(?P<indent> *)(?P<key>\w+): *(?P<value>.*?) *(?:# *(?P<comment>.*))?$")
POWERS = {-1: "/c", 1: "·c", 2: "·c²"}
HEADINGS = ("Claim", "Expected", "Takes", "Command")
SHOWN_GROUPS = ("convention", "module", "objective", "scheduler", "clip", "logger")


def options(group: str) -> dict[str, Path]:
    """The files of a group in conf/, by option."""
    return {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))}


def about(path: Path) -> str:
    """The comment with which a configuration file begins."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.removeprefix("#").strip() for line in lines[:first])


def experiment_header(name: str) -> dict[str, str]:
    """Claim, expectation, time and command of an experiment, from the comment in its file."""
    lines = options("experiment")[name].read_text(encoding="utf-8").splitlines()
    header: dict[str, str] = {}
    for line in takewhile(lambda line: line.startswith("#"), lines[1:]):
        if match := re.match(r"# (\w+): +(.*)", line):
            heading = match[1]
            header[heading] = match[2]
        else:
            header[heading] += " " + line.removeprefix("#").strip()
    return header


def settings(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Dotted key, default and comment of each setting of a YAML file with one level of nesting."""
    section = ""
    for line in lines:
        match = SETTING.match(line)
        if match is None:
            continue
        if not match["indent"]:
            section = f"{match['key']}." if not match["value"] else ""
        key = section.rstrip(".") if section and not match["indent"] else section + match["key"]
        if match["value"] or match["comment"]:
            yield key, match["value"], match["comment"] or ""


def escaped(text: str) -> str:
    """Text with what Markdown would take for markup, code apart."""
    parts = text.split("`")
    return "`".join(
        part if odd % 2 else re.sub(r"([*|<])", r"\\\1", part) for odd, part in enumerate(parts)
    )


def sentence(text: str) -> str:
    """Text with a capital letter at its beginning, escaped."""
    return escaped(text[0].upper() + text[1:])


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines).replace("|  |", "| |")


def code(text: str) -> str:
    """Text in backticks; nothing for nothing."""
    return f"`{text}`" if text else ""


def keys() -> str:
    """Every key of conf/config.yaml that is no group."""
    text = (CONF / "config.yaml").read_text(encoding="utf-8")
    body = text[text.index("\nseed:") : text.index("\nhydra:")].splitlines()
    rows = [(code(key), code(value), escaped(comment)) for key, value, comment in settings(body)]
    return table(("key", "default", "meaning"), rows)


def launchers() -> str:
    """The launchers, and the keys of each."""
    rows = []
    for name, path in options("hydra/launcher").items():
        rows.append((code(f"hydra/launcher={name}"), "", escaped(about(path))))
        lines = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if not line.startswith("_target_")
        ]
        for key, value, comment in settings(lines):
            rows.append((code(f"hydra.launcher.{key}"), code(value), escaped(comment)))
    return table(("launcher, and its keys", "default", "meaning"), rows)


def groups() -> str:
    """The options of the groups that no other table has."""
    rows = [
        (code(f"{group}={name}"), escaped(about(path)))
        for group in SHOWN_GROUPS
        for name, path in options(group).items()
    ]
    return table(("option", "meaning"), rows)


def described(group: str) -> str:
    """The options of a group, with the comment of each."""
    rows = [(code(name), escaped(about(path))) for name, path in options(group).items()]
    return table(("name", "what it is"), rows)


def optimizers() -> str:
    """The optimizers of conf/optimizer."""
    rows = []
    for name, path in options("optimizer").items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        words = about(path).split(": under ")[0].rstrip(".") + "."
        rate = f"{content['reference_lr']:g}"
        rows.append((code(name), code(content["_target_"]), rate, escaped(words)))
    return table(("name", "class", "reference learning rate", "what it is"), rows)


def scaled(exponents: Mapping[str, int]) -> str:
    """Hyperparameters and their factors, or that nothing changes."""
    return ", ".join(f"`{name}`{POWERS[exponent]}" for name, exponent in exponents.items())


def remark(names: Sequence[str], law: Law) -> str:
    """What limits a law."""
    words = []
    if "weight_decay" in law.exponents and "decoupled_weight_decay" in defaults(names[0]):
        words.append("`weight_decay` stays where `decoupled_weight_decay` is set")
    if law.obstacle:
        words.append(f"no exact exchange: {law.obstacle}")
    if not law.entrywise:
        words.append("the factor is that of the whole objective")
    if law.when:
        words.append(f"only if {law.when}")
    return escaped("; ".join(words))


def laws() -> str:
    """What a factor c on the gradient is worth, by class of optimizer."""
    rows = []
    for kind, law in LAWS.items():
        names = [name for name, (made, _) in CLASSES.items() if made.__name__ == kind]
        shown = scaled(law.exponents) or "nothing changes"
        rows.append((", ".join(map(code, names)), shown, remark(names, law)))
    rows.append(("clipping", scaled(CLIP_EXPONENTS), "`eps` only where the norm is clipped"))
    return table(("optimizer", "under g → c·g the same weights come from", "limits"), rows)


def frameworks() -> str:
    """What the optimizers of frameworks and books get."""
    rows = []
    for name, convention in FRAMEWORKS.items():
        factor = "" if convention.scale == 1 else "½ "
        star = "\\*" if convention.conjugate else ""
        rows.append(
            (code(name), f"{factor}g{star}", convention.semantics or "", escaped(convention.source))
        )
    headings = ("name", "optimizers get", "complex weight seen as", "source")
    return table(headings, rows)


def experiments() -> str:
    """A section for each experiment, from the comment in its file."""
    sections = []
    for name in options("experiment"):
        header = experiment_header(name)
        asked = next(iter(re.findall(r"^none(?: beforehand)?: (.*)", header["Claim"])), None)
        command, *more = re.split(r" +(?=\()", header["Command"], maxsplit=1)
        sections.append(
            f"## {name}\n\n"
            f"**{'Question' if asked else 'Claim'}.** {sentence(asked or header['Claim'])}\n\n"
            f"**Expected.** {sentence(header['Expected'])}\n\n"
            f"**Time.** {sentence(header['Takes'])}\n\n"
            f"```bash\n{command}\n```\n\n" + "".join(f"{escaped(part)}\n\n" for part in more)
        )
    return "\n" + "".join(sections)


TABLES: Mapping[str, Callable[[], str]] = {
    "keys": keys,
    "launchers": launchers,
    "groups": groups,
    "data": lambda: described("data"),
    "models": lambda: described("model"),
    "optimizers": optimizers,
    "laws": laws,
    "frameworks": frameworks,
    "experiments": experiments,
}


def written_again(text: str) -> str:
    """A document with its tables made anew."""
    return PLACE.sub(lambda match: match[1] + TABLES[match[2]]() + match[4], text)


if __name__ == "__main__":
    for document in sorted(DOCS.glob("*.md")):
        document.write_text(written_again(document.read_text(encoding="utf-8")), encoding="utf-8")
