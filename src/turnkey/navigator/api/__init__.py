"""The documented paths of the Common API page: ``nav.api.ProfilerConfig``, ``nav.api.config.Format`` …"""

from __future__ import annotations

from turnkey.navigator.api import config
from turnkey.navigator.profiler_config import MeasurementMode, ProfilerConfig

__all__ = ["MeasurementMode", "ProfilerConfig", "config"]
