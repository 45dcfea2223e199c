"""The static shop: plain HTML made from shop.yml, the owner's folder `deploy/site` and the templates here.

`build` makes it, `serve.StaticSite` shows it on this machine, `watching.Preview` builds again after each change, and
`snippets` gives buttons for other people's pages. The pages work from any static host, also below a path.
"""

from storefront.building import OUT, SHOP_FILE, SITE, Built, build

__all__ = ["OUT", "SHOP_FILE", "SITE", "Built", "build"]
