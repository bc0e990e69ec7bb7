"""Views of build directories: a table for people, files for programs."""

from turnkey.report.report import FORMATS, Report, get_dict, write_record_page, write_report
from turnkey.report.terminal import print_table

__all__ = ["FORMATS", "Report", "get_dict", "print_table", "write_record_page", "write_report"]
