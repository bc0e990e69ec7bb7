"""The tool ``doctor``."""

from __future__ import annotations

from typing import Any

from turnkey.pipeline.quantity import positive_count
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

_MARKS = {"good": "ok", "note": "note", "bad": "BAD"}


class Doctor(Tool):
    """Show what this machine offers to measurements and what disturbs them.

    Other programs, stolen time, quotas, frequency, power and what cannot be seen from here, each with what to do. With
    --noise the engine itself is put to the test on this machine: comparisons of a thing with itself must not be told
    apart, and a planted slow-down of 5 % must be found; the exit code says whether it was accepted.
    """

    name = "doctor"
    kind = ToolKind.MANAGEMENT
    arguments = (
        Argument(
            flags=("--noise",),
            arity=Arity.FLAG,
            default=False,
            help="Run the acceptance test: 25 minutes or more, exit code 1 if it fails.",
        ),
        Argument(
            flags=("--comparisons",),
            parse=positive_count,
            default=40,
            metavar="N",
            help="Comparisons of each kind for --noise.",
        ),
        Argument(
            flags=("--json",), arity=Arity.FLAG, default=False, dest="json_wanted", help="print one JSON document"
        ),
    )
    reads = "files of the kernel"
    writes = "with --noise noise_certificate.json in the cache directory"
    example = "turnkey doctor\nturnkey doctor --noise --comparisons 10"

    def manage(
        self,
        context: ManagementContext,
        noise: bool = False,
        comparisons: int = 40,
        json_wanted: bool = False,
        **arguments: Any,
    ) -> int:
        from pathlib import Path

        from turnkey.measure import acceptance, checkup

        as_json = json_wanted or context.as_json
        found = checkup.checkup()
        directory = Path(context.cache_dir)
        if not as_json:
            for item in found:
                print(f"{_MARKS[item.level]:<5} {item.topic:<10} {item.text}")
                if item.remedy:
                    print(f"{'':<16} do: {item.remedy}")
        if noise:
            tell = None if as_json else lambda text: print(text, flush=True)
            certificate: acceptance.Certificate | None = acceptance.accept(comparisons=comparisons, tell=tell)
            assert certificate is not None
            acceptance.save(certificate, directory)
        else:
            certificate = acceptance.load(directory)
        if as_json:
            import json

            document = {
                "findings": [item.to_json() for item in found],
                "noise": None if certificate is None else certificate.to_json(),
            }
            print(json.dumps(document, indent=2))
        elif certificate is not None:
            print("\n".join(certificate.lines()))
        else:
            print("the engine was not tested on this host and version: turnkey doctor --noise")
        return 1 if noise and certificate is not None and not certificate.is_accepted else 0
