"""The report of a study: one self-contained page and its figures as files."""

from winsome.report.page import write as write
