"""Where the documentation imports the decorator from: ``….decorators.lexer``."""
