"""Options make controls and controls give their options back, in the order of the list and as JSON holds them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from evenly.controls import CONTROLS, controls_from, options_of
from evenly.errors import InputError

OPTIONS: dict[str, Any] = {
    "keep": "50%",
    "tokenizer": "model",
    "anchors": "old.jsonl",
    "must": ["lang=en", "gold=True"],
    "quality": "score",
    "floor": 0.0,
    "within": 0.1,
    "weight": 1.0,
    "band": ["pass_rate", "0.2:0.8"],
    "avoid": ["test.jsonl", "more=other.jsonl"],
    "distance": 0.0,
    "dedup": 0.1,
    "density": 0.5,
    "guard": "5%",
    "by": "lang",
    "quota": "equal",
    "at_least": 2,
    "match_length": True,
    "mix": "en=60%,de=40%",
    "mix_by": "tokens",
    "toward": ["task.jsonl"],
    "toward_share": "10%",
    "objective": "gist",
    "lambda_": 0.5,
}


def test_every_option_goes_through_json_and_back() -> None:
    assert set(OPTIONS) == {one.name for control in CONTROLS for one in dataclasses.fields(control)}
    made = controls_from(dict(reversed(OPTIONS.items())))
    assert [type(one) for one in made] == list(CONTROLS)
    assert controls_from(json.loads(json.dumps(options_of(made)))) == made
    assert options_of(made) == OPTIONS


def test_what_is_left_at_its_default_is_not_asked_for() -> None:
    unused = {"density": 0.0, "at_least": 0, "match_length": False, "must": [], "guard": None}
    assert controls_from(unused) == ()
    assert options_of(controls_from({"floor": 0.0, "quality": "score"})) == {"floor": 0.0, "quality": "score"}


def test_an_option_that_no_control_has_is_one_line() -> None:
    with pytest.raises(
        InputError, match="no control has the option 'gard'; there are keep, tokenizer, anchors"
    ):
        controls_from({"gard": "5%"})
