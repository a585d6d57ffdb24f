"""Premiums computed without any of agequote's code, for `make test-actuarial`.

    premiums.py cases --tables rules/tables [--seed N] [--count N] > premiums.tsv
    premiums.py rates --tables rules/tables [--edges] > rates.tsv

Rates come from the Python package pymort: its own copies of the Society of
Actuaries' tables, its own reader. Of the project's tables only the file names
are looked at. The present values are summed term by term, in whole numbers over
one common denominator, so that nothing is rounded before the cent.
`make golden-actuarial` writes the smaller files beside this one, which plain
`go test` reads.
"""

import argparse
import math
import pathlib
import random
import sys
from fractions import Fraction

import pymort

HALF = Fraction(1, 2)


class Table:
    """A mortality table by pymort, its rates as the decimals that were printed."""

    def __init__(self, number):
        xml = pymort.MortXML.from_id(number)
        name = xml.ContentClassification.TableName.split()
        self.number = number
        self.basis = next(b for b in ("ALB", "ANB") if b in name)
        self.selected = {}
        if len(xml.Tables) == 2:
            self.selected = {k: exact(q) for k, q in xml.Tables[0].Values["vals"].items()}
        self.ultimate = {k: exact(q) for k, q in xml.Tables[-1].Values["vals"].items()}
        ages = [age for age, _ in self.selected] + list(self.ultimate)
        self.min, self.max = min(ages), max(ages)
        self.period = max((year for _, year in self.selected), default=0)

    def q(self, age, year):
        """The select rate while there is one, then the ultimate; KeyError outside."""
        if (age, year) in self.selected:
            return self.selected[age, year]
        if age < self.min:
            raise KeyError(age)
        return self.ultimate[age + year - 1]

    def on(self, basis, age, year):
        """The rate of somebody of that age on another basis, by contracts.md."""
        q = self.q
        if basis == self.basis:
            return q(age, year)
        if self.basis == "ALB":
            if basis == "ANB":
                return (q(age - 1, year) + q(age, year)) / 2
            return q(age - 1, year)  # ANX
        if basis == "ALB":
            return (q(age, year) + q(age + 1, year)) / 2
        return (q(age - 1, year) + q(age, year)) / 2  # ANX


def exact(q):
    return Fraction(str(q))


def half_up(x):
    return math.floor(x + HALF)


def present_values(rates, interest):
    """A and a-due of a term insurance by their definitions.

    With v = d/n, scale s for the rates and t years, both sums are multiplied by
    n**t * s**t: every part is then a whole number.
    """
    n, d = (1 + interest).numerator, (1 + interest).denominator
    s = math.lcm(*(q.denominator for q in rates))
    t = len(rates)
    alive, insurance, annuity = 1, 0, 0  # alive is the probability times s**k
    for k, q in enumerate(rates):
        dead = int(q * s)
        annuity += n ** (t - k) * d**k * alive * s ** (t - k)
        insurance += n ** (t - k - 1) * d ** (k + 1) * alive * dead * s ** (t - k - 1)
        alive *= s - dead
    return Fraction(insurance, n**t * s**t), Fraction(annuity, n**t * s**t)


def band_factor(bands, cents):
    """Share of the charge that is left, cent of sum by cent of sum in intervals."""
    edges = [0, *(edge for edge, _ in bands), math.inf]
    discounts = [Fraction(0), *(discount for _, discount in bands)]
    charged = Fraction(0)
    for low, high, discount in zip(edges, edges[1:], discounts):
        part = max(0, min(cents, high) - low)
        charged += part * (1 - discount)
    return charged / cents


class Case:
    """One case: its columns as drawn, its answers."""

    COLUMNS = (
        "table female share basis age term interest multiple sum_cents loading fee_cents bands extras year factor "
        "insurance annuity net_exact net gross modal"
    ).split()

    def __init__(self, male, female, share, basis, age, term):
        self.male, self.female, self.share, self.basis = male, female, share, basis
        self.age, self.term = age, term
        self.interest, self.multiple, self.cents = Fraction(0), Fraction(1), 25_000_000
        self.loading, self.fee, self.factor = Fraction(0), 0, Fraction(1)
        self.bands, self.extras, self.year = [], [], 1

    def rates(self):
        """q' of each year of the term; KeyError where a table has no rate."""
        out = []
        for year in range(1, self.term + 1):
            q = self.male.on(self.basis, self.age, year)
            if self.female:
                q = self.share * q + (1 - self.share) * self.female.on(self.basis, self.age, year)
            out.append(min(Fraction(1), self.multiple * q))
        return out

    def outside(self):
        try:
            self.rates()
        except KeyError:
            return True
        return False

    def gross(self, net):
        flat = sum((p * self.cents / 1000 for p, years in self.extras if years == 0 or self.year <= years), Fraction(0))
        return half_up((net + flat) / (1 - self.loading) * band_factor(self.bands, self.cents) + self.fee)

    def answers(self):
        if self.outside():
            return ["-"] * 6
        insurance, annuity = present_values(self.rates(), self.interest)
        net = self.cents * insurance / annuity
        gross = self.gross(net)
        return [
            digits(insurance, 20), digits(annuity, 20), digits(net, 30),
            half_up(net), gross, half_up(gross * self.factor),
        ]

    def line(self):
        pairs = lambda rows: ";".join(f"{number(a)}:{number(b)}" for a, b in rows) or "-"
        cells = [
            self.male.number, self.female.number if self.female else "-", number(self.share), self.basis,
            self.age, self.term, number(self.interest), number(self.multiple), self.cents,
            number(self.loading), self.fee, pairs(self.bands), pairs(self.extras), self.year, number(self.factor),
        ]
        return "\t".join(str(c) for c in cells + self.answers())


def digits(x, places):
    """x to so many decimals, cut off, trailing noughts left away."""
    whole = x.numerator * 10**places // x.denominator
    text = f"{whole // 10**places}.{whole % 10**places:0{places}d}"
    return text.rstrip("0").rstrip(".")


def number(x):
    """A decimal fraction as it is typed."""
    text = digits(Fraction(x), 24)
    assert Fraction(text) == x, x
    return text


class Draw:
    """Draws cases, with many at the edges where a mistake would sit."""

    def __init__(self, seed, tables):
        self.rng = random.Random(seed)
        self.tables = tables

    def one(self):
        rng = self.rng
        case = self.of_tables()
        case.interest = rng.choice([Fraction(0), Fraction("0.03"), Fraction(rng.randint(0, 2000), 10_000)])
        case.multiple = rng.choice([
            Fraction(1), 1 + Fraction(rng.randint(1, 16), 4), Fraction(rng.randint(20, 500), 100),
            Fraction(rng.randint(5, 100)),  # q' capped at 1
        ])
        case.cents = rng.choice([rng.randint(25_000, 5_000_000) * 100, rng.randint(1, 10**rng.randint(2, 10))])
        case.loading = rng.choice([Fraction(0), Fraction("0.15"), Fraction(rng.randint(0, 600), 1000)])
        case.fee = rng.choice([0, 6000, rng.randint(0, 25_000)])
        case.factor = rng.choice([Fraction(1), Fraction("0.0875"), Fraction(rng.randint(1, 10**6), 10**6)])
        if rng.random() < 0.3:
            edges = sorted(rng.sample(range(1, 40), rng.randint(1, 3)))
            case.bands = [(edge * 12_500_000, Fraction(rng.randint(0, 90), 100)) for edge in edges]
        if rng.random() < 0.3:
            case.extras = [(Fraction(rng.randint(1, 4000), 100), rng.randint(0, case.term)) for _ in range(rng.randint(1, 3))]
            case.year = rng.randint(1, case.term)
        if rng.random() < 0.1:
            self.tie(case)
        return case

    def of_tables(self):
        rng = self.rng
        male = rng.choice(self.tables)
        female, share, basis = None, Fraction(1), male.basis
        if rng.random() < 0.25:
            female, share = rng.choice(self.tables), Fraction(rng.randint(0, 100), 100)
        if rng.random() < 0.25:
            basis = rng.choice(["ALB", "ANB", "ANX"])
        lowest, highest = male.min, male.max
        age = rng.choice([
            rng.randint(18, 75), rng.randint(18, 75), rng.randint(lowest, highest),
            lowest + rng.randint(-1, 2), highest - rng.randint(-1, 2),
            95 + rng.randint(-1, 3),  # the select rates of most tables end with issue age 95
        ])
        age = max(age, 0)
        left = max(1, highest - age + 1)  # years to the end of the table
        term = rng.choice([
            rng.choice([10, 15, 20, 25, 30]), rng.randint(1, 40), 1, male.period + rng.randint(0, 2),
            left, left + rng.randint(-2, 1), rng.randint(1, left),
        ])
        return Case(male, female, share, basis, age, max(term, 1))

    def tie(self, case):
        """Puts the net or the gross premium on a half cent exactly.

        For one year's cover the premium is a small fraction of the sum, so a
        sum can be found for which it ends in one half.
        """
        case.term, case.year, case.bands, case.extras = 1, 1, [], []
        case.interest = self.rng.choice([Fraction(0), Fraction("0.25"), Fraction("0.6")])
        if case.outside():
            return
        share = case.rates()[0] / (1 + case.interest)
        if self.rng.random() < 0.5:
            share /= 1 - case.loading
        least, odd = divmod(share.denominator, 2)
        if odd or least > 10**10:
            return
        case.cents = least * (2 * self.rng.randint(0, 10 ** self.rng.randint(5, 10) // least) + 1)


def numbers(folder):
    found = sorted(int(p.stem[1:]) for p in pathlib.Path(folder).glob("t*.xml"))
    if not found:
        sys.exit(f"no tables in {folder}")
    return found


def print_cases(tables, seed, count):
    print(f"seed {seed}, {count} cases", file=sys.stderr)
    draw = Draw(seed, tables)
    print("\t".join(Case.COLUMNS))
    for _ in range(count):
        case = draw.one()
        while case.outside() and draw.rng.random() < 0.8:  # a few are enough
            case = draw.one()
        print(case.line())


def print_rates(tables, edges):
    """Every rate, or with edges those that begin and end the rows and columns.

    Year 0 marks an ultimate rate, by attained age.
    """
    print("table", "age", "year", "q", sep="\t")
    for t in tables:
        ages = [age for age, _ in t.selected]
        for (age, year), q in t.selected.items():
            if not edges or (age in (min(ages), max(ages)) and year in (1, t.period)):
                print(t.number, age, year, number(q), sep="\t")
        for age, q in t.ultimate.items():
            if not edges or age in (min(t.ultimate), max(t.ultimate)):
                print(t.number, age, 0, number(q), sep="\t")


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    flags.add_argument("what", choices=["cases", "rates"])
    flags.add_argument("--tables", required=True, help="folder of t<number>.xml, whose names count")
    flags.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    flags.add_argument("--count", type=int, default=10_000)
    flags.add_argument("--edges", action="store_true", help="only the first and last rates")
    args = flags.parse_args()
    tables = [Table(n) for n in numbers(args.tables)]
    if args.what == "cases":
        print_cases(tables, args.seed, args.count)
    else:
        print_rates(tables, args.edges)


if __name__ == "__main__":
    main()
