"""The page: packets' journeys to step through, the claims, the results of a run, in one HTML file."""

from testbed.report.page.page import Page, html

__all__ = ["Page", "html"]
