"""Writes reference.json: what scipy and statsmodels say of the figures that
stats.go computes. Run once, with the versions in requirements.txt:

    python reference.py >reference.json
"""
import json
import sys

import numpy as np
import scipy
import scipy.stats as st
import statsmodels
import statsmodels.api as sm
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

pairs = [
    (31, 412, 25, 400), (56, 70, 48, 80), (9, 10, 3, 10), (6, 7, 2, 7), (5, 56, 0, 29),
    (0, 10, 0, 20), (0, 10, 0, 10), (10, 10, 0, 20), (10, 10, 0, 10), (1, 1000, 30, 900),
    (4000, 5000, 3900, 5000), (0, 30, 5, 30),
]
tables = []
for k1, n1, k2, n2 in pairs:
    cells = np.array([[k1, n1 - k1], [k2, n2 - k2]], dtype=float)
    corrected = bool((cells == 0).any())
    table = Table2x2(cells + 0.5 if corrected else cells, shift_zeros=False)
    low, high = table.oddsratio_confint()
    ratio = ratio_ci = None
    if k2 > 0:
        ratio = (k1 / n1) / (k2 / n2)
        if k1 > 0:
            ratio_ci = list(Table2x2(cells, shift_zeros=False).riskratio_confint())
    tables.append({
        "a": [k1, n1], "b": [k2, n2],
        "wilson": list(proportion_confint(k1, n1, method="wilson")),
        "gap": k1 / n1 - k2 / n2,
        "newcombe": list(confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")),
        "odds": float(table.oddsratio), "odds_ci": [float(low), float(high)], "corrected": corrected,
        "ratio": ratio, "ratio_ci": ratio_ci,
        "fisher": float(st.fisher_exact(cells.astype(int))[1]),
    })

rng = np.random.default_rng(20261125)
a, b = np.round(rng.normal(0.4, 5.1, 300), 2), np.round(rng.normal(1.9, 3.2, 900), 2)
welch = st.ttest_ind(a, b, equal_var=False)
boot = st.bootstrap((a, b), lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
                    n_resamples=100_000, method="percentile", random_state=1)
strata = [(30, 100, 20, 200), (5, 40, 9, 60), (1, 8, 0, 30), (2, 2, 3, 11)]
common = StratifiedTable([np.array([[a, n - a], [c, m - c]], dtype=float) for a, n, c, m in strata])
bands = [(rng.normal(1, 2, 20).round(2), rng.normal(0, 3, 50).round(2)), (rng.normal(4, 1, 70).round(2), rng.normal(3, 1, 9).round(2))]
y = np.concatenate([v for band in bands for v in band])
group = np.concatenate([np.r_[np.ones(len(x)), np.zeros(len(w))] for x, w in bands])
dummies = np.concatenate([np.full(len(x) + len(w), i) for i, (x, w) in enumerate(bands)])
fixed = sm.OLS(y, np.column_stack([group, dummies == 0, dummies == 1])).fit()
p = [0.01, 0.04, 0.03, 0.005, 0.8, 0.2, 0.00001]
json.dump({
    "made_by": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__},
    "tables": tables,
    "means": {
        "a": list(a), "b": list(b), "gap": float(a.mean() - b.mean()),
        "p_normal": float(2 * st.norm.sf(abs(welch.statistic))),
        "bootstrap": [float(boot.confidence_interval.low), float(boot.confidence_interval.high)],
    },
    "common": {
        "strata": strata, "odds": float(common.oddsratio_pooled),
        "ci": [float(v) for v in common.oddsratio_pooled_confint()],
        "p": float(2 * st.norm.sf(abs(common.logodds_pooled / common.logodds_pooled_se))),
        "bands": [[list(x), list(w)] for x, w in bands], "gap": float(fixed.params[0]),
    },
    "holm": {"p": p, "adjusted": [float(v) for v in multipletests(p, method="holm")[1]]},
}, sys.stdout)
print()
