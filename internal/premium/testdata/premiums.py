"""Prints premiums.tsv: premiums computed without any of agequote's code.

Rates come from the Python package pymort (its own copies of the Society of Actuaries'
tables, its own reader), the sums are written out term by term in exact
fractions, and the rounding is decimal. Run it again only to add cases:

    python -m venv v && v/bin/pip install pymort
    v/bin/python premiums.py > premiums.tsv
"""

import math
import random
from fractions import Fraction

import pymort


def half_up(x):
    return math.floor(x + Fraction(1, 2))


def q(xml, age, duration):
    """Death probability, select while the table has it, then ultimate."""
    ultimate = xml.Tables[-1].Values["vals"]
    if len(xml.Tables) == 2:
        select = xml.Tables[0].Values["vals"]
        if (age, duration) in select.index:
            return Fraction(str(select.loc[(age, duration)]))
    return Fraction(str(ultimate.loc[age + duration - 1]))


def net_annual(xml, age, term, interest, multiple, cents):
    v = 1 / (1 + interest)
    alive, insurance, annuity = Fraction(1), Fraction(0), Fraction(0)
    for k in range(term):
        rate = min(Fraction(1), multiple * q(xml, age, k + 1))
        annuity += v**k * alive
        insurance += v ** (k + 1) * alive * rate
        alive *= 1 - rate
    return cents * insurance / annuity


def main():
    rng = random.Random(20261124)
    numbers = [3269, 3270, 3271, 3272, 3209, 3246, 3257, 3276, 3289, 3298, 3309, 2694]
    cases = [
        # The edges: the term ends with the select period, passes it, starts
        # past the select ages, and ends with the table.
        (3269, 30, 25, "0.03", "1", 25_000_000),
        (3270, 30, 30, "0.03", "1", 25_000_000),
        (3271, 96, 20, "0.03", "1", 10_000_000),
        (3272, 95, 26, "0.02", "1", 10_000_000),
        (2694, 90, 26, "0.04", "1.5", 10_000_000),
        (3297, 100, 21, "0.03", "2", 10_000_000),  # q' capped at 1
        (3270, 42, 1, "0", "1", 25_000_000),
    ]
    for _ in range(25):
        cases.append((
            rng.choice(numbers), rng.randint(18, 75), rng.choice([1, 5, 10, 15, 20, 25, 30]),
            rng.choice(["0", "0.02", "0.03", "0.0475"]), rng.choice(["0.75", "1", "1.4", "3"]),
            rng.randint(25_000, 2_000_000) * 100,
        ))
    print("table age term interest multiple sum_cents loading fee_cents factor net gross modal".replace(" ", "\t"))
    for table, age, term, interest, multiple, cents in cases:
        loading, fee, factor = rng.choice([("0.15", 6000, "0.0875"), ("0", 0, "1"), ("0.2", 7250, "0.0867")])
        xml = pymort.MortXML.from_id(table)
        net = net_annual(xml, age, term, Fraction(interest), Fraction(multiple), cents)
        gross = half_up(net / (1 - Fraction(loading)) + fee)
        modal = half_up(gross * Fraction(factor))
        print(table, age, term, interest, multiple, cents, loading, fee, factor, half_up(net), gross, modal, sep="\t")


if __name__ == "__main__":
    main()
