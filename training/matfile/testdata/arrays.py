"""Writes compressed.mat and plain.mat, the same variables twice, for
matfile_test.go. Needs numpy and scipy (1.17.1 wrote the files).

    python3 training/matfile/testdata/arrays.py
"""

import pathlib

import numpy
from scipy.io import savemat

here = pathlib.Path(__file__).parent

people = numpy.zeros((1, 2), dtype=[("name", object), ("born", object)])
people[0, 0] = ("Grace", 1906.0)
people[0, 1] = ("Zoë", 1956.0)

files = numpy.empty((1, 3), dtype=object)
files[0, :] = ["01/a.jpg", "", "02/ü.jpg"]

variables = {
    "single": numpy.array([1.5, -numpy.inf, numpy.nan], dtype=numpy.float32),
    "matrix": numpy.array([[1, 2, 3], [4, 5, 6]], dtype=numpy.int16),
    "large": numpy.array([2**40, 7], dtype=numpy.uint64),
    "signed": numpy.array([-128, 127], dtype=numpy.int8),
    "empty": numpy.zeros((0, 0)),
    "people": people,
    "nested": {"files": files, "count": 3.0},
}
savemat(here / "compressed.mat", variables, do_compression=True)
savemat(here / "plain.mat", variables, do_compression=False)
