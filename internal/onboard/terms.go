package onboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/agequote/agequote/internal/consent"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/rulebook"
	"github.com/agequote/agequote/internal/underwriting"
)

// maxPhotoBytes is the largest photo that a form is given for. openapi.yaml
// states it too; a test holds both to what predict reads.
const maxPhotoBytes = 10 << 20

// photoTypes are what predict reads.
var photoTypes = []string{"image/jpeg", "image/png", "image/webp"}

// markets are the markets that products may be of, in the order of the form.
var markets = []string{"US", "EU", "IN"}

// termsBody is what the page needs to build its form.
type termsBody struct {
	Schema   int           `json:"schema"`
	Consent  consent.Terms `json:"consent"`
	Accept   []string      `json:"accept"`
	MaxBytes int           `json:"max_bytes"`
	Markets  []marketBody  `json:"markets"`
}

type marketBody struct {
	Market   string        `json:"market"`
	Currency string        `json:"currency"`
	Sex      bool          `json:"sex"` // the market prices on it
	Products []productBody `json:"products"`
	// Questions are those of the default product; answers go by their ids.
	Questions []questionBody `json:"questions"`
}

type questionBody struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

type productBody struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Terms        []int    `json:"terms"` // years
	MinAge       int      `json:"min_age"`
	MaxAge       int      `json:"max_age"`
	MaxExpiryAge int      `json:"max_expiry_age"`
	MinSumCents  int64    `json:"min_sum_cents"`
	MaxSumCents  int64    `json:"max_sum_cents"`
	Modes        []string `json:"modes"`
	DefaultMode  string   `json:"default_mode"`
	Notices      []string `json:"notices"`
	Photo        string   `json:"photo"` // cross-check: the age is stated too; prefill: the photo may give it
}

// terms answers what can be applied for today.
func (h *Handler) terms(_ context.Context, _ *request) (answer, error) {
	t := termsBody{Schema: 1, Consent: h.Consent, Accept: photoTypes, MaxBytes: maxPhotoBytes, Markets: []marketBody{}}
	for _, market := range markets {
		p, err := h.Book.Product(market, "", h.Now())
		if errors.Is(err, rulebook.ErrNoMarket) || errors.Is(err, rulebook.ErrNotYet) {
			continue
		}
		if err != nil {
			return answer{}, fmt.Errorf("find product: %w", err)
		}
		m := marketBody{Market: market, Currency: p.Currency, Sex: !p.Unisex, Products: []productBody{describe(p)}, Questions: []questionBody{}}
		for _, q := range p.Questions {
			m.Questions = append(m.Questions, questionBody{q.ID, q.Text})
		}
		t.Markets = append(t.Markets, m)
	}
	return answer{Status: http.StatusOK, Body: t}, nil
}

func describe(p *underwriting.Product) productBody {
	return productBody{
		ID: p.ID, Name: p.Name, Terms: p.Terms, MinAge: p.MinAge, MaxAge: p.MaxAge, MaxExpiryAge: p.MaxExpiryAge,
		MinSumCents: p.MinSumCents, MaxSumCents: p.MaxSumCents,
		// Annual first, then the others by the size of the instalment.
		Modes: slices.SortedFunc(maps.Keys(p.ModalFactors), func(x, y string) int {
			return cmp.Or(cmp.Compare(p.ModalFactors[y], p.ModalFactors[x]), cmp.Compare(x, y))
		}),
		DefaultMode: p.DefaultMode, Notices: p.Notices, Photo: string(p.Photo.Role),
	}
}

// page answers with a file of the page.
func (h *Handler) page(_ context.Context, r *request) (answer, error) {
	file, ok := h.Page(r.event.PathParameters["file"])
	if !ok {
		return answer{}, openapi.NotFound()
	}
	return file.Answer(r.event, h.PageHeaders), nil
}
