"""The import root ``lexer``, answered by ``turnkey.lexer``."""

from turnkey_compat import answer

__getattr__, __dir__ = answer("lexer", "turnkey.lexer")
