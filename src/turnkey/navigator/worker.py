"""The workbench in a process of its own: ``python -m turnkey.navigator.worker CONTEXT DESCRIPTOR``.

Reads one job per line from its standard input and answers each with one line on the descriptor of that number;
what libraries print meanwhile goes to the job's log. Ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.formats.failure_text import evidence_of, one_line
from turnkey.pipeline.capture import captured


def main(arguments: list[str]) -> int:
    """Serve jobs. ``arguments``: the context file, and the descriptor for answers."""
    context = json.loads(Path(arguments[0]).read_bytes())
    answers = os.fdopen(int(arguments[1]), "w", encoding="utf-8")
    bench: Any = None
    for line in sys.stdin:
        job = json.loads(line)
        with captured(Path(job["log"]), first_line=job["title"]):
            try:
                bench = bench or workbench(context)
                answer = {"answer": bench.perform(job)}
            except TurnkeyError as error:
                traceback.print_exc()
                answer = {"error": error.to_dict()}
            except Exception as error:  # noqa: BLE001 - converters and runtimes raise what they like
                traceback.print_exc()
                answer = {"error": plain_error(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def plain_error(error: BaseException) -> dict[str, str]:
    """An exception of a library as the three parts of an error."""
    return {"type": "conversion failed", "what": one_line(error), "evidence": evidence_of(error), "remedy": ""}


def workbench(context: Mapping[str, Any]) -> Any:
    """The workbench of a context: the live source rebuilt from its file, with the samples that were handed over."""
    from turnkey.model.samples import read_samples
    from turnkey.model.source import SourceModel
    from turnkey.navigator.workbench import Workbench

    sets = [read_samples(Path(directory)) for directory in context["sets"]]
    if context["module"] is None:
        return Workbench(source=None, samples=sets[0].inputs if sets else ())
    from turnkey.runtimes.handover import read_module

    module, structure = read_module(context["module"])
    sets = [replace(each, structure=structure) for each in sets]
    source = SourceModel(
        module=module,
        samples=sets[0],
        further_samples=tuple(sets[1:]),
        class_name=context["class_name"],
        **context["facts"],
    )
    return Workbench(source=source)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
