"""OKX for accounts of the European Economic Area (my.okx.com): OKX at the host eea.okx.com, with keys of its own."""

from __future__ import annotations

from auditor.exchanges import okx

ccxt_class, credentials, serial = "myokx", okx.credentials, okx.serial
classify, server_time = okx.classify, okx.server_time

_SITE = okx.Site("eea.okx.com", "https://my.okx.com/docs-v5/en/")
endpoints, clock, funds, collect = _SITE.endpoints, _SITE.clock, _SITE.funds, _SITE.collect
