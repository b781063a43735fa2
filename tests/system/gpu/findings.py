"""What the checks found: row by row, and the whole as a table, Markdown or JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "info", "skip"]
Format = Literal["table", "markdown", "json"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``info`` is a figure that nothing depends on, ``skip`` what this machine cannot show."""

    check: str
    what: str
    outcome: Outcome
    detail: str

    @classmethod
    def judged(cls, check: str, what: str, good: bool, detail: str) -> "Finding":
        return cls(check, what, "pass" if good else "fail", detail)

    def row(self) -> str:
        return f"{self.outcome.upper():4}  {self.check}: {self.what}: {self.detail}"


@dataclass(frozen=True)
class Report:
    about: Mapping[str, str]
    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        return all(finding.outcome != "fail" for finding in self.findings)

    def text(self, form: Format) -> str:
        match form:
            case "json":
                rows = [asdict(finding) for finding in self.findings]
                content = {"passed": self.passed, "about": dict(self.about), "findings": rows}
                return json.dumps(content, indent=2, ensure_ascii=False)
            case "markdown":
                return "\n".join(self._markdown())
            case "table":
                lines = [f"{name}: {value}" for name, value in self.about.items()]
                return "\n".join([*lines, "", *(finding.row() for finding in self.findings), "", self._verdict()])

    def _markdown(self) -> list[str]:
        head = [f"* {name}: {value}" for name, value in self.about.items()]
        rows = [
            "| "
            + " | ".join(cell.replace("|", "\\|") for cell in (one.check, one.what, one.outcome, one.detail))
            + " |"
            for one in self.findings
        ]
        return [*head, "", "| check | what | outcome | found |", "|---|---|---|---|", *rows, "", self._verdict()]

    def _verdict(self) -> str:
        count = sum(finding.outcome == "fail" for finding in self.findings)
        return "Everything passed." if not count else f"{count} of {len(self.findings)} failed."
