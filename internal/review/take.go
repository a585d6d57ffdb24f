package review

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/agequote/agequote/internal/casefile"
	"github.com/agequote/agequote/internal/cases"
	"github.com/agequote/agequote/internal/openapi"
	"github.com/agequote/agequote/internal/store"
)

const (
	reserveFor = 15 * time.Minute
	renewUnder = 5 * time.Minute // left of one's own reservation; before that, taking again changes nothing
	viewFor    = time.Minute     // an address of a photo
)

// take reserves a case for whoever asks. Of two who do at once one wins, and the
// other is told who.
func (h *Handler) take(ctx context.Context, r *request) (answer, error) {
	c, err := Read(ctx, h.Cases, r.id, true)
	if err != nil {
		return answer{}, err
	}
	now := h.Now().UTC()
	since := now
	if held := c.reserved(now); held != nil {
		if held.By != r.who.Subject {
			return answer{}, taken(held)
		}
		if held.Until.Sub(now) > renewUnder {
			return answer{Status: http.StatusOK, Body: takenBody{held.By, held.Until}}, nil
		}
		since = held.Since
	}
	stored, err := h.reserve(ctx, c, casefile.Reservation{
		By: r.who.Subject, Role: string(r.who.Role), Time: now, Since: since, Until: now.Add(reserveFor), Decisions: len(c.Decisions),
	})
	if err != nil {
		return answer{}, err
	}
	if stored.By != r.who.Subject {
		return answer{}, taken(&stored)
	}
	return answer{Status: http.StatusOK, Body: takenBody{stored.By, stored.Until}}, nil
}

// reserve writes the next reservation, or returns the one that another wrote
// first.
func (h *Handler) reserve(ctx context.Context, c *Case, v casefile.Reservation) (casefile.Reservation, error) {
	v.Schema, v.Case, v.N, v.Version = casefile.Schema, c.ID, c.last(casefile.ReservationsPrefix(c.ID))+1, h.Version
	body, err := cases.Encode(v)
	if err != nil {
		return v, err
	}
	stored, err := cases.WriteOnce[casefile.Reservation](ctx, h.Cases, casefile.ReservationKey(c.ID, v.N), body)
	if err != nil {
		return v, fmt.Errorf("write reservation: %w", err)
	}
	if stored.Erased {
		return v, cases.ErrErased
	}
	return stored.Object, nil
}

func taken(r *casefile.Reservation) *openapi.Problem {
	return &openapi.Problem{Status: http.StatusConflict, Code: "taken", Detail: "Another person has taken this case.",
		Conflict: takenBody{r.By, r.Until}}
}

// release gives back what one has taken; what one has not, is free already as
// far as one is concerned.
func (h *Handler) release(ctx context.Context, r *request) (answer, error) {
	c, err := Read(ctx, h.Cases, r.id, true)
	if err != nil {
		return answer{}, err
	}
	now := h.Now().UTC()
	held := c.held()
	if held == nil || held.By != r.who.Subject {
		return answer{Status: http.StatusNoContent}, nil
	}
	_, err = h.reserve(ctx, c, casefile.Reservation{
		By: r.who.Subject, Role: string(r.who.Role), Time: now, Since: held.Since, Until: now, Released: true, Decisions: len(c.Decisions),
	})
	return answer{Status: http.StatusNoContent}, err
}

// photo records that a person opens a photo, and then gives an address of it
// that is good for a minute.
func (h *Handler) photo(ctx context.Context, r *request) (answer, error) {
	var sent struct {
		N int `json:"n"`
	}
	if err := r.spec.Decode(r.body, &sent); err != nil {
		return answer{}, err
	}
	c, err := Read(ctx, h.Cases, r.id, false)
	if err != nil {
		return answer{}, err
	}
	e, ok := c.Estimates[sent.N]
	if !ok || !ownPhoto(r.id, e.Object.Source.Key) {
		return answer{}, openapi.NotFound()
	}
	there, err := h.photoStands(ctx, e.Object.Source.Key)
	if err != nil {
		return answer{}, err
	}
	if !there {
		return answer{}, &openapi.Problem{Status: http.StatusGone, Code: "photo_expired", Detail: "The photo's time is over; it was deleted."}
	}
	if err := h.recordOpening(ctx, c, r.who, sent.N); err != nil {
		return answer{}, err
	}
	address, expires, err := h.Views.View(ctx, e.Object.Source.Key, e.Object.Source.Version, viewFor)
	if err != nil {
		return answer{}, err
	}
	return answer{Status: http.StatusOK, Body: struct {
		URL     string    `json:"url"`
		Expires time.Time `json:"expires"`
	}{address, expires}}, nil
}

// ownPhoto tells whether a key is that of a photo of the case, a customer's or a
// batch's: an estimate's source is never followed anywhere else.
func ownPhoto(id, key string) bool {
	return strings.HasPrefix(key, casefile.UploadPrefix(id)) || strings.HasPrefix(key, "batch-"+casefile.UploadPrefix(id))
}

func (h *Handler) photoStands(ctx context.Context, key string) (bool, error) {
	keys, err := h.Photos.List(ctx, key)
	if err != nil {
		return false, fmt.Errorf("look for photo: %w", err)
	}
	return len(keys) > 0 && keys[0] == key, nil
}

// openingTries bounds how often an opening meets another one's name.
const openingTries = 20

// recordOpening writes the next opening, chained to the one before.
func (h *Handler) recordOpening(ctx context.Context, c *Case, who Identity, photo int) error {
	o := casefile.Opening{
		Schema: casefile.Schema, Case: c.ID, N: len(c.Openings), Photo: photo,
		By: who.Subject, Role: string(who.Role), Time: h.Now().UTC(), Version: h.Version,
	}
	if o.N > 0 {
		o.Previous = c.Openings[o.N-1].Hash
	}
	for range openingTries {
		o.N++
		body, err := cases.Encode(o)
		if err != nil {
			return err
		}
		err = h.Cases.PutIfAbsent(ctx, casefile.OpeningKey(c.ID, o.N), body)
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrExists) {
			return fmt.Errorf("record opening: %w", err)
		}
		before, err := cases.Read[casefile.Opening](ctx, h.Cases, casefile.OpeningKey(c.ID, o.N))
		if err != nil {
			return fmt.Errorf("read opening: %w", err)
		}
		if before.Erased {
			return cases.ErrErased
		}
		o.Previous = before.Hash
	}
	return errors.New("too many openings at once")
}
