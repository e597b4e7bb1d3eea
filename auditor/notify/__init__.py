"""Notices: what changed since the last one (`change`), how it is said (`message`), how it is sent (`delivery`).

Knows the Report and Apprise's addresses. Knows neither configuration nor history, and never stops a run: what could not
be delivered is the caller's to report.
"""
