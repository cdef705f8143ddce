"""What is laid down and not yet written: the places that carry the word TODO."""

import re
from pathlib import Path

PLACES = ("README.md", "lossbook", "notebooks/text", "tests/losses")
SUFFIXES = {".md", ".py", ".toml"}
MARK = re.compile(r"\bTODO\b")


def unfinished(root: str | Path) -> list[str]:
    r"""The places of a checkout that a skeleton left to its author, a line each: path, line number and text.

    A book with one of them is not to be published.

    Args:
        root: the folder of the checkout.

    Returns:
        Such as `README.md:19: | [10 Reshaping ...](...) | TODO: what is in it |`; empty where nothing is left to do.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = (Path(root) / "README.md").write_text("# A book\n\nTODO: say what is in it\n")
        ...     unfinished(root)
        ['README.md:3: TODO: say what is in it']
    """
    root, found = Path(root), []
    for place in PLACES:
        for path in [root / place] if (root / place).is_file() else sorted((root / place).rglob("*")):
            inside = path.relative_to(root).as_posix()
            if path.suffix not in SUFFIXES or inside.startswith("lossbook/skeletons/"):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if MARK.search(line):
                    found.append(f"{inside}:{number}: {line.strip(' #')}")
    return found
