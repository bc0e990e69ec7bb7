"""Names that the Tools User Guide documents under ``turnkey.common``."""
