"""The documentation of the rules, made of what they carry: `python -m pgmodern.lint.page FILE`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from pgmodern.lint.rule import Rule
from pgmodern.lint.rules import RULES
from pgmodern.lint.squawk import EXCLUDED, NOT_VALID, OF_PROVED

MARK = "<!-- From here on made of the rules, by: python -m pgmodern.lint.page docs/lint.md -->"


def page(written: str) -> str:
    """Return a page whose part after the mark is made anew; what is before it stays."""
    head, _, _ = written.partition(MARK)
    return "\n".join([f"{head}{MARK}\n", *_made()])


def _made() -> Iterator[str]:
    yield "| rule | severity | |\n|---|---|---|"
    yield from (
        f"| [`{each.name}`](#{each.name}) | {each.severity} | {_title(each)} |" for each in RULES
    )
    for rule in RULES:
        yield f"\n## {rule.name}\n\n{rule.why}\n\nFound:\n"
        yield _code(rule.bad)
        yield "\nNot found:\n"
        yield _code(rule.good)
    yield "\n## Of squawk's rules\n\nNot shown:\n\n| rule | because |\n|---|---|"
    reasons = dict.fromkeys(EXCLUDED.values())
    for reason in reasons:
        names = ", ".join(f"`{name}`" for name, why in EXCLUDED.items() if why == reason)
        yield f"| {names} | {reason} |"
    kept = " and ".join(f"`{name}`" for name in sorted(OF_PROVED))
    yield (
        "| all but " + kept + " in what an operation of pgmodern's writes | the operation is safe "
        "as a whole: its test kills it before each of its statements, and runs it again |"
    )
    yield (
        f"| `{NOT_VALID}` of all but a CHECK | a foreign key has a rule of its own, the others "
        "cannot be NOT VALID |\n"
    )


def _title(rule: Rule) -> str:
    return rule.why.partition("\n")[0]


def _code(files: tuple[str, ...]) -> str:
    return "\n".join(f"```python\n{each}```" for each in files)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
