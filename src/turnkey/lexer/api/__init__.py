"""Where the documentation imports the context from: ``….api.lexer_context``."""
