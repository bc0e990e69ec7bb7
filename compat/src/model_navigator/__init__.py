"""The import root ``model_navigator``, answered by ``turnkey.navigator``."""

from turnkey_compat import answer

__getattr__, __dir__ = answer("model_navigator", "turnkey.navigator")
