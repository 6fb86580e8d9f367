"""Which verified images are matches, which are worth a look, and which are left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bovw.verification import Calibration, Evidence, Judged, Verified, judge
from bovw.verification.judgement import LOOK

some_meanings = st.lists(st.floats(-20, 100), max_size=30)


def verified(meanings: list[float]) -> list[Verified]:
    return [
        Verified(image, np.eye(3), np.empty((0, 4)), Evidence(9, 5, 5, 1.0, 1.0, 0.1, 0.1, meaning))
        for image, meaning in enumerate(meanings)
    ]


def judged(meanings: list[float], tried: int = 100, most: float = 0.01) -> list[Judged]:
    return judge(verified(meanings), Calibration(), tried, most)


@given(some_meanings, st.integers(1, 1000), st.floats(1e-9, 1), st.floats(0.01, 100))
def test_each_is_judged_by_its_false_alarms(
    meanings: list[float], tried: int, most: float, factor: float
) -> None:
    calibration = Calibration(factor)
    found = judge(verified(meanings), calibration, tried, most)
    alarms = [calibration.false_alarms(meaning, tried) for meaning in meanings]
    # In the order given, those that chance explains left out.
    assert [one.found.image for one in found] == [
        image for image, alarm in enumerate(alarms) if alarm <= max(most, LOOK)
    ]
    confirmed = [alarm <= most for alarm in alarms]
    for one in found:
        image = one.found.image
        assert one.false_alarms == alarms[image]
        assert one.confirmed == confirmed[image]
        others = sum(confirmed[:image] + confirmed[image + 1 :])
        assert one.probability == calibration.probability(alarms[image], others)
        assert one.certainty in (("sure", "likely") if one.confirmed else ("look",))


def test_the_image_itself_is_none_of_the_others() -> None:
    """With one other it is as with none: of these two, either may be the chance one."""
    calibration = Calibration()
    alone, pair, three = judged([8.0]), judged([8.0] * 2), judged([8.0] * 3)
    alarms = alone[0].false_alarms
    assert alone[0].probability == pair[0].probability == calibration.probability(alarms, 0)
    assert three[0].probability == calibration.probability(alarms, 2) > pair[0].probability
    # An image that is not confirmed has all confirmed ones as others.
    doubtful = judged([8.0, 8.0, 0.0])[2]
    assert not doubtful.confirmed
    assert doubtful.probability == calibration.probability(doubtful.false_alarms, 2)


@pytest.mark.parametrize("most", [0.5, 1.0, 1e9])
def test_as_many_as_asked_for_are_confirmed(most: float) -> None:
    """Also some of which every query has several."""
    meanings = np.linspace(-8, 8, 33).tolist()
    found = judged(meanings, most=most)
    assert all(one.confirmed == (one.false_alarms <= most) for one in found)
    assert len(found) == sum(Calibration().false_alarms(m) <= max(most, LOOK) for m in meanings)


def test_nothing_is_judged_to_be_nothing() -> None:
    assert judged([]) == [] == judged([], tried=0)
