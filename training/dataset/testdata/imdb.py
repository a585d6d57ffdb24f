"""Writes imdb.mat and wiki.mat in the shape of IMDB-WIKI, and expected.tsv
with what is to be read out of them, worked out here by Python's calendar, for
imdbwiki_test.go. The people are invented. Needs numpy and scipy (1.17.1).

    python3 training/dataset/testdata/imdb.py
"""

import csv
import datetime
import pathlib

import numpy
from scipy.io import savemat

here = pathlib.Path(__file__).parent
nan, inf = float("nan"), float("inf")

# born, year of the photo, sex (1 male), face_score, second_face_score, celebrity, path, expected reason
rows = [
    ((1970, 6, 30), 2000, 1, 4.2, nan, 1, "01/before.jpg", ""),
    ((1970, 7, 1), 2000, 0, 3.5, nan, 2, "02/on-the-day.jpg", ""),
    ((1970, 7, 2), 2000, nan, 3.6, nan, 2, "02/after.jpg", ""),
    ((1904, 2, 29), 1994, 0, 5.0, nan, 3, "03/leap.jpg", ""),
    ((1990, 1, 1), 2000, 1, 3.4999, nan, 4, "04/weak.jpg", "low_face_score"),
    ((1990, 1, 1), 2000, 1, -inf, nan, 4, "04/no-face.jpg", "low_face_score"),
    ((1990, 1, 1), 2000, 1, 4.0, 1.1, 4, "04/two.jpg", "second_face"),
    ((2000, 1, 1), 2000, 1, 4.0, nan, 5, "05/newborn.jpg", "bad_age"),
    ((1900, 1, 1), 2000, 1, 4.0, nan, 6, "06/hundred.jpg", ""),
    ((1899, 1, 1), 2000, 1, 4.0, nan, 6, "06/older.jpg", "bad_age"),
    ((2005, 1, 1), 2000, 1, 4.0, nan, 7, "07/unborn.jpg", "bad_age"),
    (None, 2000, 1, 4.0, nan, 8, "08/no-date.jpg", "bad_age"),
]


def datenum(born):
    """MATLAB's: Python's ordinal, a year earlier. Some are 0 in the data set."""
    return 0.0 if born is None else float(datetime.date(*born).toordinal() + 366)


def age(born, year):
    if born is None:
        return year
    july = datetime.date(year, 7, 1)
    day = datetime.date(*born)
    return july.year - day.year - ((july.month, july.day) < (day.month, day.day))


def column(values):
    return numpy.array([values], dtype=float)


def cells(values):
    c = numpy.empty((1, len(values)), dtype=object)
    c[0, :] = values
    return c


table = {
    "dob": column([datenum(r[0]) for r in rows]),
    "photo_taken": column([r[1] for r in rows]),
    "full_path": cells([r[6] for r in rows]),
    "gender": column([r[2] for r in rows]),
    "name": cells(["Invented"] * len(rows)),
    "face_location": cells([numpy.array([[1.0, 2.0, 3.0, 4.0]])] * len(rows)),
    "face_score": column([r[3] for r in rows]),
    "second_face_score": column([r[4] for r in rows]),
}
savemat(here / "wiki.mat", {"wiki": table}, do_compression=True)
savemat(
    here / "imdb.mat",
    {"imdb": table | {"celeb_names": cells(["Invented"] * 8), "celeb_id": column([r[5] for r in rows])}},
    do_compression=True,
)

with open(here / "expected.tsv", "w", newline="") as f:
    w = csv.writer(f, delimiter="\t", lineterminator="\n")
    w.writerow(["file", "age", "sex", "celebrity", "reason"])
    for born, year, sex, _, _, celebrity, path, reason in rows:
        w.writerow([path, age(born, year), {0: "female", 1: "male"}.get(sex, ""), celebrity, reason])
