"""The conversion graph: the shortest way from what is there, around what is missing or failed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import turnkey.formats
from turnkey.errors import ConversionError, MissingDependencyError, UsageError
from turnkey.formats.route import Step, find_route, formats_named, installed_format


def words(route):
    return [str(step) for step in route]


@dataclass
class FakeFormat:
    name: str
    converts_from: tuple[str, ...]
    requires: tuple[str, ...] = ()
    install: str = "pip install it"
    stored_as: str = "fake"


class FakeTable:
    """A conversion graph given as ``{format: parents}``."""

    def __init__(self, parents, requires=None):
        self.builtin = {
            name: FakeFormat(name, tuple(mine), (requires or {}).get(name, ())) for name, mine in parents.items()
        }

    def names(self):
        return tuple(self.builtin)

    def load(self, name):
        if name not in self.builtin:
            raise UsageError(f"there is no format called {name!r}")
        return self.builtin[name]


@pytest.fixture
def graph(monkeypatch):
    def use(parents, requires=None):
        monkeypatch.setattr(turnkey.formats, "FORMATS", FakeTable(parents, requires))

    return use


def test_a_package_of_aotinductor_is_made_over_an_exported_program():
    assert words(find_route("torch-aoti", available=("torch",))) == [
        "torch -> torch-exportedprogram",
        "torch-exportedprogram -> torch-aoti",
    ]


def test_a_format_that_is_there_is_started_from_instead_of_being_made_again():
    assert words(find_route("torch-aoti", available=("torch-exportedprogram", "torch"))) == [
        "torch-exportedprogram -> torch-aoti"
    ]


def test_what_the_caller_prefers_wins_over_what_the_format_prefers():
    assert words(find_route("onnx-fp16", available=("onnx-opt", "onnx", "torch")))[0] == "onnx-opt -> onnx-fp16"
    assert words(find_route("onnx-fp16", available=("onnx", "onnx-opt", "torch")))[0] == "onnx -> onnx-fp16"


def test_a_step_that_failed_is_walked_around_and_the_last_failure_is_told(graph):
    graph({"live": (), "a": ("live",), "b": ("live",), "goal": ("a", "b")})
    assert words(find_route("goal", available=("live",))) == ["live -> a", "a -> goal"]
    first = Step(parent="live", format="a")
    assert words(find_route("goal", available=("live",), refused=[first])) == ["live -> b", "b -> goal"]
    with pytest.raises(ConversionError, match="no way leads to the format goal") as caught:
        find_route("goal", available=("live",), refused=[first, Step(parent="b", format="goal")])
    assert "b -> goal failed" in caught.value.evidence


def test_a_missing_dependency_is_walked_around_else_it_is_the_reason(graph):
    graph({"live": (), "a": ("live",), "b": ("live",), "goal": ("a", "b")}, {"a": ("no_such_module",)})
    assert words(find_route("goal", available=("live",))) == ["live -> b", "b -> goal"]
    with pytest.raises(MissingDependencyError, match="a needs no_such_module") as caught:
        find_route("a", available=("live",))
    assert caught.value.remedy == "pip install it"


def test_nothing_to_start_from_says_what_there_is_and_what_it_takes():
    with pytest.raises(ConversionError, match="no way leads") as caught:
        find_route("torchscript-trace", available=("onnx",))
    assert "there is onnx" in caught.value.evidence
    assert "converted from torch" in caught.value.evidence


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(UsageError, match="'torchscrip'") as caught:
        formats_named("torchscrip")
    assert "torchscript-trace" in caught.value.evidence
    with pytest.raises(UsageError, match="'torchscrip'"):
        find_route("torchscrip", available=("torch",))


def test_a_family_is_named_by_how_its_files_are_stored():
    assert formats_named("torchscript") == ("torchscript-trace", "torchscript-script")
    assert formats_named("onnx") == ("onnx",)


def test_what_a_gpu_needs_is_one_line_where_it_is_not_installed():
    for name, module in (("tensorrt", "tensorrt"), ("torch-tensorrt", "torch_tensorrt")):
        try:
            __import__(module)
        except ImportError:
            with pytest.raises(MissingDependencyError, match=module) as caught:
                installed_format(name)
            assert caught.value.remedy.startswith("pip install")


names = st.sampled_from("abcdef")
graphs = st.dictionaries(names, st.lists(names, max_size=3, unique=True).map(tuple), min_size=1)


@given(parents=graphs, available=st.lists(names, max_size=3, unique=True), data=st.data())
def test_a_way_is_made_of_existing_steps_from_what_is_there_and_no_way_is_shorter(parents, available, data):
    edges = [Step(parent=parent, format=name) for name, mine in parents.items() for parent in mine]
    refused = data.draw(st.lists(st.sampled_from(edges), max_size=3)) if edges else []
    target = data.draw(st.sampled_from(sorted(parents)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turnkey.formats, "FORMATS", FakeTable(parents))
        try:
            route = find_route(target, available=available, refused=refused)
        except ConversionError:
            route = None
    shortest = _shortest(target, parents, set(available), set(refused))
    assert (route is None) == (shortest is None)
    if route is not None:
        assert len(route) == shortest
        assert route[0].parent in available
        assert route[-1].format == target
        assert all(before.format == after.parent for before, after in pairwise(route))
        assert set(route) <= set(edges) - set(refused)


def _shortest(target, parents, available, refused):
    """Length by spreading forwards: formats that need one step, two steps …"""
    reached, steps = set(available), 0
    while steps <= len(parents):
        steps += 1
        new = {
            name
            for name, mine in parents.items()
            if any(p in reached and Step(parent=p, format=name) not in refused for p in mine)
        }
        if target in new:
            return steps
        # What cannot be made on the way (a leaf that only the caller could give) does not count.
        if new <= reached:
            return None
        reached |= new
    return None
