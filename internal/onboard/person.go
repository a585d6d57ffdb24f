package onboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/erasure"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/store"
)

// maxComplaints bounds the complaints of a case.
const maxComplaints = 20

// person asks for a person. Who has asked already and got no answer yet asks
// for the same.
func (h *Handler) person(ctx context.Context, r *request) (answer, error) {
	v, err := h.look(ctx, r.id)
	if err != nil {
		return answer{}, err
	}
	v.standing(h.Now()) // drops a request that a person has answered
	if v.asked == nil {
		n := 1 + count(v.keys, path.Dir(casefile.PersonKey(r.id, 1))+"/person-")
		asked := casefile.PersonRequest{Schema: casefile.Schema, Case: r.id, N: n, Time: h.Now().UTC(), Version: h.Version}
		encoded, err := cases.Encode(asked)
		if err != nil {
			return answer{}, err
		}
		stored, err := cases.WriteOnce[casefile.PersonRequest](ctx, h.Cases, casefile.PersonKey(r.id, n), encoded)
		if err != nil {
			return answer{}, fmt.Errorf("write request: %w", err)
		}
		v.asked = &stored.Object
	}
	// Again at each repetition: the first may have died before it.
	if err := h.mark(ctx, v, casefile.StateAsked, v.asked.Time); err != nil {
		return answer{}, err
	}
	status, err := v.body(h.Now())
	return answer{Status: http.StatusOK, Body: status}, err
}

// complain stores a complaint and puts the case before a person.
func (h *Handler) complain(ctx context.Context, r *request) (answer, error) {
	var sent struct {
		Text string `json:"text"`
	}
	if err := fieldNames.Decode(r.body, &sent); err != nil {
		return answer{}, err
	}
	v, err := h.look(ctx, r.id)
	if err != nil {
		return answer{}, err
	}
	c := casefile.Complaint{Schema: casefile.Schema, Case: r.id, Time: h.Now().UTC(), Text: sent.Text, Version: h.Version}
	for n := 1 + count(v.keys, casefile.ComplaintsPrefix(r.id)); ; n++ {
		if n > maxComplaints {
			return answer{}, openapi.Conflict("limit", "Too many complaints were sent with this application. Please write to us.")
		}
		c.N = n
		encoded, err := cases.Encode(c)
		if err != nil {
			return answer{}, err
		}
		err = h.Cases.PutIfAbsent(ctx, casefile.ComplaintKey(r.id, n), encoded)
		if errors.Is(err, store.ErrExists) {
			// Another complaint, or the name was taken by a deletion.
			if err := h.alive(ctx, r.id); err != nil {
				return answer{}, err
			}
			continue
		}
		if err != nil {
			return answer{}, fmt.Errorf("write complaint: %w", err)
		}
		break
	}
	if err := h.mark(ctx, v, casefile.StateComplained, c.Time); err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusCreated, Body: struct {
		N    int       `json:"n"`
		Time time.Time `json:"time"`
	}{c.N, c.Time}}, nil
}

func (h *Handler) mark(ctx context.Context, v *caseView, state string, since time.Time) error {
	return cases.Mark(ctx, h.Cases, casefile.Marker(v.id, state, since, v.application.Facts.SumCents))
}

func count(keys []string, prefix string) int {
	n := 0
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			n++
		}
	}
	return n
}

// erase withdraws consent and removes what is personal.
func (h *Handler) erase(ctx context.Context, r *request) (answer, error) {
	receipt, err := h.Eraser.Erase(ctx, r.id, "customer", "consent withdrawn")
	var held *erasure.HeldError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return answer{}, openapi.NotFound()
	case errors.As(err, &held): // by whom and why is not the customer's
		return answer{}, openapi.Conflict("legal_hold", "The law demands that this application is kept for now. We delete it when that ends.")
	case err != nil:
		return answer{}, fmt.Errorf("erase case: %w", err)
	}
	return answer{Status: http.StatusOK, Body: receipt}, nil
}

// letter answers with the decision letter on the newest quote, in a language
// that openapi.yaml lets in.
func (h *Handler) letter(ctx context.Context, r *request) (answer, error) {
	v, err := h.look(ctx, r.id)
	if err != nil {
		return answer{}, err
	}
	o := v.standing(h.Now())
	if o.quote == nil {
		return answer{}, openapi.Conflict("no_letter", "Nothing is decided yet, so there is no letter.")
	}
	language := cmp.Or(r.event.QueryStringParameters["lang"], "en")
	text, err := h.Letter(o.quote, language)
	if err != nil {
		return answer{}, fmt.Errorf("write letter: %w", err)
	}
	return answer{Status: http.StatusOK, Body: []byte(text), Media: "text/plain; charset=utf-8"}, nil
}
