"""The page: stories of packets to step through, the ledger of claims, the results of a run, in one HTML file."""

from testbed.report.page.page import Page, html

__all__ = ["Page", "html"]
