"""The tool ``system-info``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.plugins import PluginTable


class SystemInfo(Tool):
    """Show what this machine is and what Turnkey can do on it.

    Operating system, processor, memory, quotas and GPUs; then the formats and runtimes that can be used here, and for
    each of the others what it lacks and the command that installs it. No process is started, nothing is installed.
    """

    name = "system-info"
    kind = ToolKind.MANAGEMENT
    arguments = (
        Argument(
            flags=("--json",), arity=Arity.FLAG, default=False, dest="json_wanted", help="print one JSON document"
        ),
    )
    reads = "files of the kernel, and which packages are installed"
    example = "turnkey system-info\nturnkey system-info --json"

    def manage(self, context: ManagementContext, json_wanted: bool = False, **arguments: Any) -> int:
        from turnkey import host
        from turnkey.formats import FORMATS
        from turnkey.runtimes import RUNTIMES
        from turnkey.version import __version__

        facts = host.system_info().to_dict()
        usable = {"formats": _availability(FORMATS), "runtimes": _availability(RUNTIMES)}
        if json_wanted or context.as_json:
            import json

            print(json.dumps({"turnkey_version": __version__, "system": facts, **usable}, indent=2))
        else:
            print("\n".join([f"turnkey           {__version__}", *_fact_lines(facts), *_usable_lines(usable)]))
        return 0


def _availability(table: PluginTable) -> list[dict[str, Any]]:
    """One entry per plug-in: ``name``, ``usable``, ``lacks`` (import names), ``install``, ``reason``."""
    from importlib.util import find_spec

    entries = []
    for name in table.names():
        try:
            plugin = table.load(name)
            lacks = [module for module in plugin.requires if find_spec(module.partition(".")[0]) is None]
            reason = f"needs {', '.join(lacks)}" if lacks else ""
            install = plugin.install if lacks else ""
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything when it is imported
            evidence = getattr(error, "evidence", "") or f"{type(error).__name__}: {error}"
            lacks, reason, install = [], f"broken: {evidence.splitlines()[0]}", ""
        entries.append({"name": name, "usable": not reason, "lacks": lacks, "reason": reason, "install": install})
    return entries


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    from turnkey.pipeline.quantity import size_text

    quota = "none" if facts["cpu_quota"] is None else f"{facts['cpu_quota']:g} processors"
    limit = "none" if facts["memory_limit_bytes"] is None else size_text(facts["memory_limit_bytes"])
    gpus = [f"{gpu['name']}, {size_text(gpu['memory_bytes'])}, driver {gpu['driver']}" for gpu in facts["gpus"]]
    rows = [
        ("os", f"{facts['os']}, {facts['kernel']}, {facts['machine']}"),
        ("python", facts["python"]),
        ("processor", facts["processor"]),
        (
            "cores",
            f"{facts['physical_cores']} physical, {facts['affinity_cpus']} of {facts['logical_cpus']} logical ones "
            f"allowed, quota: {quota}, fair threads: {facts['fair_threads']}",
        ),
        ("memory", f"{size_text(facts['memory_bytes'])}, limit: {limit}"),
        *[("gpu", gpu) for gpu in gpus or [facts["gpu_note"] or "none"]],
    ]
    return [f"{name:<17} {text}" for name, text in rows]


def _usable_lines(usable: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for title, entries in usable.items():
        lines.append(f"{title:<17} {', '.join(entry['name'] for entry in entries if entry['usable']) or 'none'}")
        for entry in entries:
            if not entry["usable"]:
                remedy = f": {entry['install']}" if entry["install"] else ""
                lines.append(f"{'':<17} not {entry['name']}: {entry['reason']}{remedy}")
    return lines
