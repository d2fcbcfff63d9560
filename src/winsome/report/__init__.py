"""The report of a study: one self-contained page and its figures as files; for a sweep a page over all of its studies."""

from winsome.report.page import write as write
from winsome.report.page import write_overview as write_overview
from winsome.report.page import write_recipes as write_recipes
from winsome.report.pages import draw_pages as draw_pages
