"""The public names are those that the documentation promises, and every module says what it offers."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

import fundusrt

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("sdk/fundusrt", "training/fundusrt_training", "export/fundusrt_export")
MODULES = [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]

# Other people's code relies on these. A name may be added here with the change that adds it, and is never taken away.
PUBLIC = [
    "BackendUnavailable",
    "Bundle",
    "BundleError",
    "CertificateError",
    "EngineMismatch",
    "EnhancementResult",
    "FundusImage",
    "FundusRTError",
    "InvalidInput",
    "OutputError",
    "SegmentationResult",
    "TileGrid",
    "__version__",
    "cgnr",
    "from_array",
    "load",
    "read_image",
]


def test_public_names() -> None:
    assert fundusrt.__all__ == PUBLIC
    assert dir(fundusrt) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_resolves_to_its_own_package_and_not_to_a_module(name: str) -> None:
    value = getattr(fundusrt, name)
    assert not isinstance(value, ModuleType)
    assert getattr(value, "__module__", "fundusrt").split(".")[0] == "fundusrt"


def test_star_import_gives_all_of_them() -> None:
    names: dict[str, object] = {}
    exec("from fundusrt import *", names)
    assert set(PUBLIC) <= set(names)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fundusrt' has no attribute 'lod'"):
        getattr(fundusrt, "lod")  # noqa: B009


def test_cgnr_stays_the_function_whatever_is_imported() -> None:
    import fundusrt.cgnr
    import fundusrt.fusion

    assert callable(fundusrt.cgnr)


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_lists_its_names_and_defines_them(path: Path) -> None:
    """Read, not imported: most of training and export would load PyTorch."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    listed: list[str] | None = None
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            defined.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            defined |= names
            if "__all__" in names and node.value is not None:
                listed = ast.literal_eval(node.value)
    if path.name == "__main__.py" or all(isinstance(node, ast.Expr) for node in tree.body):
        return  # nothing to import from it, or a package that is only a docstring
    assert listed is not None, "no __all__"
    assert sorted(set(listed) - defined) == []
    assert len(listed) == len(set(listed))


def test_the_package_is_typed() -> None:
    for package in PACKAGES[:1]:
        assert (REPOSITORY / package / "py.typed").is_file()
