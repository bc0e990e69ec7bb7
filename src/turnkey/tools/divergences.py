"""Where the variants of a build go wrong, for ``verify --explain``."""

from __future__ import annotations

from collections.abc import Sequence

from turnkey.errors import TurnkeyError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State
from turnkey.runtimes.divergence import Divergence, Form, explain_divergence
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.verify import Tolerances


def divergences(
    state: State, failed: Sequence[VariantVerification], reference: Reference, tolerances: Tolerances
) -> tuple[str, ...]:
    """Lines about each variant that differs; one form that spoils several variants is told once."""
    lines: list[str] = []
    told: set[tuple[str, str]] = set()
    for each in failed:
        found = divergence_of(state, each.key, reference, tolerances)
        if isinstance(found, str):
            lines.append(f"{each.key}: {found}")
        elif (found.form, found.layer) not in told:
            told.add((found.form, found.layer))
            lines.extend(found.lines())
    return tuple(lines)


def divergence_of(state: State, key: str, reference: Reference, tolerances: Tolerances) -> Divergence | str:
    """Where one variant goes wrong, or why that cannot be told."""
    forms = forms_of(state, key)
    if not forms:
        return "its layers cannot be looked at: it is no ONNX file"
    if not reference.can_run:
        return "its layers cannot be looked at: the source model is not in memory"
    directory = BuildPaths(state.cache_dir, state.build_name).explanations / key
    try:
        return explain_divergence(reference, forms, directory=directory, tolerances=tolerances)
    except TurnkeyError as error:
        return f"its layers cannot be looked at: {error.what}: {error.evidence}"


def forms_of(state: State, key: str) -> list[Form]:
    """The ONNX files from the exported or loaded one to the variant; none if the variant is stored otherwise."""
    variant = state.variant(key)
    chain = [state.variant(name) for name in (*variant.lineage, key) if any(v.key == name for v in state.variants)]
    if not variant.path.endswith(".onnx"):
        return []
    return [
        Form(key=each.key, path=state.build_dir / each.path, exporter=each.exporter)
        for each in chain
        if each.path.endswith(".onnx")
    ]
