"""Views of build directories: a table for people, files for programs."""

from turnkey.report.overview import print_table
from turnkey.report.report import FORMATS, Report, get_dict, write_record_page, write_report

__all__ = ["FORMATS", "Report", "get_dict", "print_table", "write_record_page", "write_report"]
