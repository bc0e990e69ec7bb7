"""A call of `optimize` as a file: which model, which samples, and the arguments by their names.

    schema: 1
    model: net.py:SmallCNN              # a file or module and a name in it, or an ONNX file
    dataloader: net.py:samples          # a sized iterable, or what returns one: a class, a function without arguments
    target_formats: [torchscript, onnx]
    profiler_config: {batch_sizes: [1, 8]}
    custom_configs: {TorchScript: {jit_type: [trace], strict: false}}
    tolerances: {scores: [1.0e-4, 1.0e-2]}

Every further key is an argument of `turnkey.optimize` under its own name and with its own default; another key is
refused. ``verify_func`` and registered ``runners`` are places, too. Files are relative to the recipe. A recipe names
the user's own code, which loading it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.data_object import parsed
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format_configs import CONFIGS
from turnkey.navigator.named_place import built, imported, made_by
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.tolerances import checked_limits
from turnkey.navigator.typed_record import mapping
from turnkey.pipeline import durable, plain_yaml

SCHEMA = 1
_PLACES = ("verify_func", "runners")
"""Arguments that name the user's code, which is run by who calls."""
_NAMES = tuple(each.name for each in fields(CallArguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A call as plain data.

    Attributes:
        model: a place, or the path of an ONNX file.
        dataloader: a place.
        arguments: of `optimize`, plain data, only those that were given.
        directory: to which files are relative.
    """

    model: str
    dataloader: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd, compare=False)

    def with_arguments(self, **given: Any) -> Recipe:
        """The recipe with arguments in place of its own; those that are None stay."""
        return replace(self, arguments={**self.arguments, **{k: v for k, v in given.items() if v is not None}})

    def call(self) -> tuple[Any, Any, CallArguments]:
        """Model, dataloader and arguments: what `optimize` is called with.

        Raises:
            UsageError: there is no such model or dataloader.
            ModelError: the user's code fails.
            ConfigurationError: an argument that cannot be.
        """
        model: Any = self.directory / self.model
        if not self.model.endswith(".onnx"):
            model = built(self.model, directory=self.directory)
        loader = imported(self.dataloader, directory=self.directory)
        if isinstance(loader, type) or (callable(loader) and not hasattr(loader, "__len__")):
            loader = made_by(loader, place=self.dataloader)
        return model, loader, self.call_arguments()

    def call_arguments(self) -> CallArguments:
        """The arguments as objects. Raises ConfigurationError for one that cannot be."""
        values = dict(self.arguments)
        if values.get("profiler_config") is not None:
            values["profiler_config"] = ProfilerConfig.from_dict(values["profiler_config"])
        if values.get("optimization_profile") is not None:
            values["optimization_profile"] = OptimizationProfile.from_dict(values["optimization_profile"])
        if values.get("custom_configs") is not None:
            values["custom_configs"] = [_config(name, given) for name, given in values["custom_configs"].items()]
        if values.get("tolerances") is not None:
            values["tolerances"] = checked_limits(values["tolerances"])
        if values.get("verify_func") is not None:
            [place] = _texts("verify_func", [values["verify_func"]])
            values["verify_func"] = imported(place, directory=self.directory)
        if values.get("workspace") is not None:
            [workspace] = _texts("workspace", [values["workspace"]])
            values["workspace"] = self.directory / workspace
        if values.get("runners") is not None:
            runners = _texts("runners", values["runners"])
            for place in runners:
                if ":" in place:
                    _register(imported(place, directory=self.directory))
            values["runners"] = [each.rpartition(":")[2] for each in runners]
        return CallArguments(**values)

    def write(self, path: Path) -> None:
        """Write the recipe. Raises InputError if it cannot be written."""
        durable.write_text(path, plain_yaml.dump(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as the file holds it."""
        return {"schema": SCHEMA, "model": self.model, "dataloader": self.dataloader, **parsed(self.arguments)}


def recipe_of(model: str, dataloader: str, arguments: CallArguments) -> Recipe:
    """The recipe that is equal to a call; arguments that have their defaults are left out.

    Args:
        model, dataloader: where a reader of the file finds them.

    Raises:
        ConfigurationError: an argument that no file can hold.
    """
    given: dict[str, Any] = {}
    for each in fields(CallArguments):
        value = getattr(arguments, each.name)
        if value == each.default:
            continue
        if each.name == "verify_func":
            raise ConfigurationError(
                "a function cannot be written into a recipe", remedy="verify_func: module:name   # in the file"
            )
        if each.name == "custom_configs":
            value = {config.name(): config.to_dict(parse=True) for config in value}
        given[each.name] = parsed(value)
    return Recipe(model=model, dataloader=dataloader, arguments=given)


def read_recipe(path: Path) -> Recipe:
    """Read a file.

    Raises:
        InputError: there is none.
        ArtifactError: it is no plain YAML.
        ConfigurationError: it is no recipe, or names what `optimize` does not take.
    """
    document = plain_yaml.read(path)
    data = dict(document.data)
    schema, model, dataloader = (data.pop(name, None) for name in ("schema", "model", "dataloader"))
    faults = [f"{name}: optimize has no such argument" for name in sorted(set(data) - set(_NAMES))]
    if schema != SCHEMA:
        faults.append(f"schema is {schema!r}; this Turnkey reads {SCHEMA}")
    faults += [
        f"{name} is {value!r}, not a place such as net.py:{name}"
        for name, value in (("model", model), ("dataloader", dataloader))
        if not isinstance(value, str) or not value
    ]
    recipe = Recipe(model=str(model), dataloader=str(dataloader), arguments=data, directory=path.absolute().parent)
    if faults:
        raise ConfigurationError(
            f"{path.name} is no recipe", evidence="\n".join(faults), remedy="docs/optimize.md shows one"
        )
    try:
        plain = {name: value for name, value in data.items() if name not in _PLACES}
        replace(recipe, arguments=plain).call_arguments()
    except TurnkeyError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path.name} is no recipe", evidence=str(error)) from error
    return recipe


def _texts(name: str, given: Any) -> list[str]:
    """A text or a list of them, as a list. Raises ConfigurationError for anything else."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ConfigurationError(f"{name} of a recipe is a text", evidence=f"{name}: {given!r}")
    return texts


def _config(name: str, given: Any) -> Any:
    if name not in CONFIGS:
        raise ConfigurationError(f"there is no custom config {name!r}", evidence=f"known: {', '.join(CONFIGS)}")
    return CONFIGS[name].from_dict(mapping(given))


def _register(cls: Any) -> None:
    from turnkey.navigator.runner_adapter import register_runner
    from turnkey.navigator.runner_table import runner_kinds

    if cls.name() not in runner_kinds():
        register_runner(cls)
