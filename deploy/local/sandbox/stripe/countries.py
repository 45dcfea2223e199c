"""Countries by the names the pay page shows."""

from __future__ import annotations

#: What the page offers when the session does not say where parcels go.
USUAL = ("PL", "DE", "FR", "GB", "JP", "KW", "US", "AU")
_NAMES = {
    "AT": "Austria",
    "AU": "Australia",
    "BE": "Belgium",
    "BG": "Bulgaria",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "Switzerland",
    "CY": "Cyprus",
    "CZ": "Czechia",
    "DE": "Germany",
    "DK": "Denmark",
    "EE": "Estonia",
    "ES": "Spain",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "GR": "Greece",
    "HR": "Croatia",
    "HU": "Hungary",
    "IE": "Ireland",
    "IS": "Iceland",
    "IT": "Italy",
    "JP": "Japan",
    "KW": "Kuwait",
    "LT": "Lithuania",
    "LU": "Luxembourg",
    "LV": "Latvia",
    "MT": "Malta",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "PL": "Poland",
    "PT": "Portugal",
    "RO": "Romania",
    "SE": "Sweden",
    "SI": "Slovenia",
    "SK": "Slovakia",
    "UA": "Ukraine",
    "US": "United States",
}


def named(codes: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    """`["PL"]` to `[("PL", "Poland")]`; a code without a name here stands for itself."""
    return [(code, country_name(code)) for code in codes]


def country_name(code: str) -> str:
    """`"PL"` to `"Poland"`; a code without a name here stands for itself."""
    return _NAMES.get(code, code)
