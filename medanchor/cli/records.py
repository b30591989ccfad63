"""Records that the user named: found, hashed, and what gave none told."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medanchor.cli.output import Output, name_of

if TYPE_CHECKING:
    from medanchor.records.digest import Hashed
    from medanchor.records.walk import Problem


def collect(paths: list[bytes], out: Output, *, follow: bool) -> "tuple[list[Hashed], list[Problem]]":
    """Return the raw digests of all records that `paths` name, and what gave no record."""
    from medanchor.records.digest import Hashed, digest_all
    from medanchor.records.walk import walk

    hashed: list[Hashed] = []
    problems: list[Problem] = []
    with out.progress("records read") as advance:
        for item in digest_all(walk(paths, follow=follow), advance):
            if isinstance(item, Hashed):
                hashed.append(item)
            else:
                problems.append(item)
    return hashed, problems


def any_unreadable(problems: "list[Problem]") -> bool:
    """Say whether something should have given a record and could not be read."""
    from medanchor.records.walk import Severity

    return any(problem.severity is Severity.UNREADABLE for problem in problems)


def problem_lines(problems: "list[Problem]") -> Iterator[str]:
    """Return a line for each path that gave no record."""
    return (f"{problem.severity.value}: {name_of(problem.path)}: {problem.reason}" for problem in problems)


def problem_fields(problems: "list[Problem]", out: Output) -> list[dict[str, str]]:
    """Return the JSON of what gave no record; with names only if they were asked for."""
    return [
        {"reason": problem.reason, "severity": problem.severity.value}
        | ({"path": name_of(problem.path)} if out.verbose else {})
        for problem in problems
    ]
