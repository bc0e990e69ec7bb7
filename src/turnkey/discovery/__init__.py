"""Run a script and see its models with their real inputs."""

from turnkey.discovery.listing import FoundModel, Listing
from turnkey.discovery.options import DiscoveryOptions
from turnkey.discovery.visit import Visit, discover, let_go, script_failed, visit

__all__ = ["DiscoveryOptions", "FoundModel", "Listing", "Visit", "discover", "let_go", "script_failed", "visit"]
