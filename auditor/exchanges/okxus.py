"""OKX for accounts of the United States (app.okx.com): OKX at a host and with keys of its own.

The host is that of ccxt, us.okx.com. A tool of OKX asks app.okx.com instead, which `endpoint` can say.
"""

from __future__ import annotations

from auditor.exchanges import okx

ccxt_class, credentials, serial = "okxus", okx.credentials, okx.serial
classify, server_time = okx.classify, okx.server_time

_SITE = okx.Site("us.okx.com", "https://app.okx.com/docs-v5/en/")
endpoints, clock, funds, collect = _SITE.endpoints, _SITE.clock, _SITE.funds, _SITE.collect
