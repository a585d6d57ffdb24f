package premium

// Ultimate returns the ultimate rate at an attained age, for tests that compare
// whole tables: a table's first ultimate rates serve nobody, because whoever is
// insured at the first ages has select rates.
func (t *Table) Ultimate(age int) float64 { return t.ultimate[age-t.ultimateMin] }
