"""A signature fits one function, one path, one query, one body and ten minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pushcart import auth
from pushcart.errors import Unauthorised

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
KEY, OLD_KEY = "k" * 32, "o" * 32
CALL = ("order-store", "POST", "/sweep", "a=1", b'{"x": 1}')


def check(header, *, keys=(KEY,), now=NOW, call=CALL):
    auth.verify(header, keys, now, *call)


def test_a_signature_made_for_this_call_is_accepted():
    check(auth.sign(KEY, NOW, *CALL))


def test_during_a_rotation_both_keys_are_accepted():
    check(auth.sign(OLD_KEY, NOW, *CALL), keys=(KEY, OLD_KEY))
    check(auth.sign(KEY, NOW, *CALL), keys=(KEY, OLD_KEY))


def test_a_key_that_was_rotated_out_is_refused():
    with pytest.raises(Unauthorised, match="does not match"):
        check(auth.sign(OLD_KEY, NOW, *CALL))


@pytest.mark.parametrize("place", range(5))
def test_a_signature_fits_no_other_function_method_path_query_or_body(place):
    other = list(CALL)
    other[place] = b"{}" if place == 4 else "GET" if place == 1 else CALL[place] + "x"
    with pytest.raises(Unauthorised, match="does not match"):
        check(auth.sign(KEY, NOW, *CALL), call=tuple(other))


@pytest.mark.parametrize("seconds", [-auth.TOLERANCE - 1, auth.TOLERANCE + 1])
def test_a_signature_from_too_long_ago_or_from_the_future_is_refused(seconds):
    with pytest.raises(Unauthorised, match="too old or from the future"):
        check(auth.sign(KEY, NOW + timedelta(seconds=seconds), *CALL))


@pytest.mark.parametrize("header", [None, "", "t=1", "v1=aa", "t=x,v1=aa", "t=-1,v1=aa", "rubbish", "t=,v1="])
def test_a_header_that_is_no_signature_is_refused(header):
    with pytest.raises(Unauthorised):
        check(header)


def test_an_empty_key_verifies_nothing():
    with pytest.raises(Unauthorised):
        check(auth.sign("", NOW, *CALL), keys=("",))
    with pytest.raises(Unauthorised):
        check(auth.sign("", NOW, *CALL), keys=())


@pytest.mark.parametrize("odd", ["t={now},v1=é", "t=" + "9" * 5000 + ",v1=" + "a" * 64, "t={now}=x,v1=" + "a" * 64])
def test_an_odd_header_is_refused_and_is_no_error(odd):
    with pytest.raises(Unauthorised):
        check(odd.replace("{now}", str(int(NOW.timestamp()))))
