package quote_test

import (
	"testing"

	"github.com/agequote/agequote/internal/age"
	"github.com/agequote/agequote/internal/quote"
)

// BenchmarkQuote is the dearest quote there is: an interval, and a distribution
// that gives every age some probability, as a model's does. The rule book has
// parsed its tables before.
func BenchmarkQuote(b *testing.B) {
	book, in := mustBook(b), input()
	in.Estimate = everyAge(44.2, 32.1, 56.3)
	if q, err := quote.Compute(book, in); err != nil || q.ExpectedGrossCents == nil {
		b.Fatal(q.Reasons, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := quote.Compute(book, in); err != nil {
			b.Fatal(err)
		}
	}
}

func everyAge(point, low, high float64) *age.Estimate {
	e := estimate(point, low, high)
	for k := range e.Distribution {
		e.Distribution[k] = 1 / float64(len(e.Distribution))
	}
	return e
}
