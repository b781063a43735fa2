"""What stands behind scripts/check-page: the page in a real browser, before a service with real weights.

Its files are called ``check_…``: scripts/test does not collect them, since they need a browser.
"""
