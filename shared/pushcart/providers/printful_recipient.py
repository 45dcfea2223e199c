"""Where Printful sends an order: the buyer's address in its words."""

from __future__ import annotations

import re

from pushcart.domain.order import Address
from pushcart.errors import BadRequest
from pushcart.stepcall import OrderView

_US = (
    "AL Alabama,AK Alaska,AZ Arizona,AR Arkansas,CA California,CO Colorado,CT Connecticut,DE Delaware,"
    "DC District of Columbia,FL Florida,GA Georgia,HI Hawaii,ID Idaho,IL Illinois,IN Indiana,IA Iowa,KS Kansas,"
    "KY Kentucky,LA Louisiana,ME Maine,MD Maryland,MA Massachusetts,MI Michigan,MN Minnesota,MS Mississippi,"
    "MO Missouri,MT Montana,NE Nebraska,NV Nevada,NH New Hampshire,NJ New Jersey,NM New Mexico,NY New York,"
    "NC North Carolina,ND North Dakota,OH Ohio,OK Oklahoma,OR Oregon,PA Pennsylvania,RI Rhode Island,"
    "SC South Carolina,SD South Dakota,TN Tennessee,TX Texas,UT Utah,VT Vermont,VA Virginia,WA Washington,"
    "WV West Virginia,WI Wisconsin,WY Wyoming"
)
_CA = (
    "AB Alberta,BC British Columbia,MB Manitoba,NB New Brunswick,NL Newfoundland and Labrador,"
    "NT Northwest Territories,NS Nova Scotia,NU Nunavut,ON Ontario,PE Prince Edward Island,QC Quebec,QC Québec,"
    "SK Saskatchewan,YT Yukon"
)
_AU = (
    "ACT Australian Capital Territory,NSW New South Wales,NT Northern Territory,QLD Queensland,SA South Australia,"
    "TAS Tasmania,VIC Victoria,WA Western Australia"
)

#: The countries for which Printful wants a state's code, and the codes of their states by name: wallets give names.
#: https://developers.printful.com/docs/#tag/CountryState-Code-API
STATES = {
    country: {name.casefold(): code for code, _, name in (state.partition(" ") for state in states.split(","))}
    for country, states in {"US": _US, "CA": _CA, "AU": _AU}.items()
}

#: Countries that are a city: a checkout asks for none there, and Printful wants one.
CITIES = {"GI": "Gibraltar", "HK": "Hong Kong", "MC": "Monaco", "SG": "Singapore", "VA": "Vatican City"}


def recipient(order: OrderView) -> dict[str, str]:
    """The order's shipping address as Printful takes it, with the buyer's mail address and telephone number.

    `BadRequest` names what is missing, without repeating what is there.
    https://developers.printful.com/docs/#operation/createOrder
    """
    if order.shipping is None:
        raise BadRequest(
            "The order has no shipping address; let the checkout ask for one, and place this order at Printful by hand."
        )
    address, buyer = order.shipping.address, order.buyer
    country = (address.country or "").strip().upper()
    given = {
        "name": order.shipping.name or buyer.name,
        "address1": address.line1,
        "address2": address.line2,
        "city": address.city or CITIES.get(country),
        "country_code": country,
        "zip": address.postal_code,
        "email": buyer.email,
        "phone": buyer.phone,
        **_state(address, country),
    }
    texts = {name: " ".join(value.split()) for name, value in given.items() if value and value.strip()}
    needed = ["name", "address1", "city", "country_code"] + ["state_code"] * (country in STATES)
    missing = [name for name in needed if name not in texts]
    if missing:
        raise BadRequest(
            f"The shipping address lacks {', '.join(missing)}, which Printful needs to send it to"
            f" {country or 'anywhere'}; ask the buyer, and place this order at Printful by hand."
        )
    return texts


def _state(address: Address, country: str) -> dict[str, str | None]:
    """The state as `state_code`, where it is one or is known by its name, else as `state_name`."""
    state = " ".join((address.state or "").split())
    if country in STATES:
        known = STATES[country]
        code = known.get(state.casefold(), state.upper())
        return {"state_code": code if re.fullmatch(r"[A-Z]{2,3}", code) else None}
    code_like = re.fullmatch(r"[A-Z0-9]{1,3}", state)
    return {"state_code" if code_like else "state_name": state}
