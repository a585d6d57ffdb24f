package premium_test

import (
	"math"
	"testing"

	"github.com/agequote/agequote/internal/premium"
)

func TestModal(t *testing.T) {
	for _, tt := range []struct {
		gross  int64
		factor float64
		want   int64
	}{
		{40, 0.0875, 4}, // 3.5 exactly, up
		{39, 0.0875, 3},
		{1, 0.5, 1},
		{45_023, 0.0875, 3940}, // 3939.5125
		{1_000_000_000_000, 1, 1_000_000_000_000},
	} {
		if got := premium.Modal(tt.gross, tt.factor); got != tt.want {
			t.Errorf("Modal(%d, %v) = %d, want %d", tt.gross, tt.factor, got, tt.want)
		}
	}
}

func TestRoundCents(t *testing.T) {
	for _, tt := range []struct {
		cents float64
		want  int64
	}{
		{0, 0}, {0.49, 0}, {0.5, 1}, {-0.5, 0}, {-0.51, -1}, {1.5, 2}, {2.5, 3},
		{math.Nextafter(12_345.5, 0), 12_346}, // an exact half, computed a hair too low
		{12_345.499_999_9, 12_345},
		{math.Nextafter(1_000_000_000.5, 0), 1_000_000_001},
		{1_000_000_000.499_99, 1_000_000_000},
	} {
		if got := premium.RoundCents(tt.cents); got != tt.want {
			t.Errorf("RoundCents(%v) = %d, want %d", tt.cents, got, tt.want)
		}
	}
}

func TestBandFactor(t *testing.T) {
	bands := []premium.SumBand{{FromCents: 1000, Discount: 0.1}, {FromCents: 3000, Discount: 0.25}}
	for _, tt := range []struct {
		name  string
		bands []premium.SumBand
		sum   int64
		want  float64
	}{
		{"no bands", nil, 5000, 1},
		{"below the first edge", bands, 999, 1},
		{"at the edge", bands, 1000, 1},
		{"a cent above: only the cent is discounted", bands, 1001, 1000.9 / 1001},
		{"up to the second edge", bands, 3000, 2800. / 3000},
		{"in the last band", bands, 5000, 4300. / 5000},
		{"a band from nothing", []premium.SumBand{{FromCents: 0, Discount: 0.2}}, 5000, 0.8},
	} {
		if got := premium.BandFactor(tt.bands, tt.sum); !near(got, tt.want) {
			t.Errorf("%s: BandFactor = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestGross(t *testing.T) {
	loads := premium.Loads{Loading: 0.2, PolicyFeeCents: 50}
	banded := premium.Loads{Loading: 0.2, PolicyFeeCents: 50, Bands: []premium.SumBand{{FromCents: 50_000, Discount: 0.5}}}
	extras := []premium.FlatExtra{{PerMille: 1}, {PerMille: 2.5, Years: 3}}
	for _, tt := range []struct {
		name   string
		loads  premium.Loads
		extras []premium.FlatExtra
		year   int
		want   int64
	}{
		{"no extras: 300.4/.8 + 50", loads, nil, 1, 426},                            // 425.5
		{"permanent and temporary: (300.4+100+250)/.8 + 50", loads, extras, 1, 863}, // 863
		{"last year of the temporary", loads, extras, 3, 863},
		{"temporary over: (300.4+100)/.8 + 50", loads, extras, 4, 551}, // 550.5
		{"half of the sum at half price, the fee in full: 650.4/.8*.75 + 50", banded, extras, 1, 660},
	} {
		if got := tt.loads.Gross(300.4, 100_000, tt.extras, tt.year); got != tt.want {
			t.Errorf("%s: Gross = %d, want %d", tt.name, got, tt.want)
		}
	}
}
