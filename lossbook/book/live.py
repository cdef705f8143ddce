"""Where readers can run the chapters: one setting, and the links that follow from it."""

import tomllib
from pathlib import Path
from typing import NamedTuple

COLAB = "https://colab.research.google.com/github/{repository}/blob/{site_branch}/notebooks/{stem}.ipynb"
BINDER = "https://mybinder.org/v2/gh/{repository}/{branch}?urlpath=lab/tree/notebooks/{stem}.ipynb"


class Live(NamedTuple):
    """Where chapters can be run: a repository on GitHub, its branch, and the branch that holds the built site."""

    repository: str = ""
    branch: str = "main"
    site_branch: str = "gh-pages"

    def links(self, stem: str) -> dict[str, str]:
        """Words -> address; none where no repository is set."""
        if not self.repository:
            return {}
        where = self._asdict() | {"stem": stem}
        return {"Run on Colab": COLAB.format(**where), "Run on Binder": BINDER.format(**where)}

    @property
    def address(self) -> str | None:
        """Where the book is cloned from; None where no repository is set."""
        return f"https://github.com/{self.repository}" if self.repository else None


def settings(root: Path) -> Live:
    """Where chapters can be run, by `[tool.lossbook]` of pyproject.toml: repository, branch, site_branch."""
    said = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"].get("lossbook", {})
    return Live(**{name: said[name] for name in Live._fields if name in said})
