"""The HTML report: one self-contained file, written from templates that escape everything that is not ours.

No text from outside is marked as safe; drawings come from `turnkey.report.svg`, which escapes. The page may load
nothing (a content security policy says so), and of styles and scripts only those with the digests that it names count.

Scope: usable at a thousand models. Beyond `HELD_MODELS` what is said of each model is held as text until it is opened;
beyond `SAMPLE_PLOTS` the plots of single calls are left out, and the page says how to get them for one model.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from turnkey.errors import MissingDependencyError, TurnkeyError
from turnkey.measure import acceptance
from turnkey.report import corpus, figure
from turnkey.report.failures import FailureCluster, conversion_clusters, failure_clusters
from turnkey.report.model_plots import Plot
from turnkey.report.model_section import ModelSection, model_section
from turnkey.report.plots import interval_plot, ranked_plot, share_plot
from turnkey.report.source import ReportedBuild, titles
from turnkey.version import __version__

HELD_MODELS = 60
"""Models up to which all is there from the start, and is printed."""
SAMPLE_PLOTS = 200
"""Models up to which warm-up and timed calls are drawn."""
SHOWN_VALUES = 20
"""Values of one label whose pass rates are drawn."""
NAMED_RATIOS = 20
"""Models up to which each ratio has a line with its name; beyond, they are dots of one glance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Builds that failed alike, with the sections that tell more."""

    tool: str
    message: str
    members: tuple[ModelSection, ...]


def report_page(
    builds: Sequence[ReportedBuild],
    *,
    title: str,
    unreadable: Iterable[TurnkeyError] = (),
    names: Sequence[str] | None = None,
) -> str:
    """The report of these builds as one HTML file.

    Args:
        names: what each build is called; None takes its own name.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    with_samples = len(builds) <= SAMPLE_PLOTS
    sections = [
        model_section(build, title=name, anchor=f"model-{index}", with_samples=with_samples)
        for index, (build, name) in enumerate(zip(builds, names or titles(builds), strict=True))
    ]
    by_build = {id(build): section for build, section in zip(builds, sections, strict=True)}
    return render(
        "report.html.j2",
        title=title,
        sentences=corpus.sentences(builds, sections),
        plots=list(_corpus_plots(builds, sections)),
        clusters=[
            _cluster(cluster, by_build) for cluster in [*failure_clusters(builds), *conversion_clusters(builds)]
        ],
        sections=sections,
        unreadable=[str(error) for error in unreadable],
        certificates=_certificates(builds),
        sample_limit=None if with_samples else SAMPLE_PLOTS,
        is_held=len(builds) > HELD_MODELS,
    )


def render(template: str, **values: Any) -> str:
    """A page from one of our templates, with style and script inside it.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError(
            "an HTML report needs Jinja2", evidence=str(error), remedy="pip install 'turnkey[report]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("turnkey.report", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": figure.number, "size": figure.size}
    style, script = _asset("page.css"), _asset("page.js")
    return environment.get_template(template).render(
        version=__version__,
        style=style,
        style_digest=_digest(style),
        script=script,
        script_digest=_digest(script),
        **values,
    )


def _corpus_plots(builds: Sequence[ReportedBuild], sections: Sequence[ModelSection]) -> Iterable[Plot]:
    if len(builds) < 2:
        return
    bars = corpus.ratio_bars(sections)
    if len(bars) > 1:
        title, label = "Recommended against reference", "time of the reference / time of the recommended"
        if len(bars) <= NAMED_RATIOS:
            ranked = sorted(bars, key=lambda bar: -bar.center)
            svg = interval_plot(ranked, title=title, label=label, center_line=1.0)
        else:
            svg = ranked_plot(bars, title=title, label=label)
        yield Plot(title=title, svg=svg, note="Above 1 is faster; bars are the intervals of the verdicts.")
    rates = corpus.pass_rates(builds)
    if corpus.is_any_short(rates):
        yield Plot(title="Pass rates", svg=share_plot(rates, title="Pass rate of each tool"))
    for key, values in corpus.label_rates(builds).items():
        if corpus.is_any_short(values):
            shown, title = values[:SHOWN_VALUES], f"Pass rates by {key}"
            note = f"The {SHOWN_VALUES} most frequent of {len(values)}." if len(values) > SHOWN_VALUES else ""
            yield Plot(title=title, svg=share_plot(shown, title=title), note=note)


def _cluster(found: FailureCluster, sections: Mapping[int, ModelSection]) -> Cluster:
    members = tuple(sections[id(build)] for build in found.builds)
    return Cluster(tool=found.tool, message=found.message, members=members)


def _certificates(builds: Iterable[ReportedBuild]) -> list[str]:
    """What ``turnkey doctor --noise`` found on this host, where it was run."""
    caches = dict.fromkeys(build.cache_dir for build in builds)
    found = {certificate for cache in caches if (certificate := acceptance.load(Path(cache))) is not None}
    return [line for certificate in found for line in certificate.lines()]


def _digest(text: str) -> str:
    """As a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return resources.files("turnkey.report").joinpath("pages", name).read_text(encoding="utf-8")
